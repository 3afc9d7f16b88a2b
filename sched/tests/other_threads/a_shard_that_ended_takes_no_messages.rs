//! After the end of a shard, messages to it are refused and wake-ups of its fibers do nothing.

use std::sync::Arc;
use std::thread;

use straightline_sched as sched;

#[test]
fn a_spawn_on_an_ended_shard_is_refused_and_its_closure_dropped() {
    let shard = sched::run(sched::ShardHandle::current);
    let held = Arc::new(());
    let refused = shard.spawn({
        let held = Arc::clone(&held);
        move || drop(held)
    });
    assert_eq!(refused, Err(sched::SpawnError::Closed));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(sched::SpawnError::Closed.to_string(), "the shard has ended, or is about to end");
    let elsewhere = thread::spawn(move || shard.spawn(|| ()));
    assert_eq!(elsewhere.join().unwrap(), Err(sched::SpawnError::Closed));
}

#[test]
fn a_shard_whose_root_panicked_has_ended() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        sched::run_with(sched::Config::default(), move || {
            sender.send(sched::ShardHandle::current()).unwrap();
            panic!("broken");
        })
    });
    let shard = receiver.recv().unwrap();
    assert!(panicked.join().is_err());
    assert_eq!(shard.spawn(|| ()), Err(sched::SpawnError::Closed));
}

#[test]
fn an_unpark_after_the_end_does_nothing() {
    let (root, other) = sched::run(|| {
        let other = sched::spawn(sched::park).fiber();
        (sched::current(), other)
    });
    root.unpark();
    other.unpark();
    thread::spawn({
        let (root, other) = (root.clone(), other.clone());
        move || {
            root.unpark();
            other.unpark();
        }
    })
    .join()
    .unwrap();
    // The unpark does not reach a fiber of the thread's next shard either.
    sched::run(move || {
        let parked = sched::spawn(sched::park);
        sched::yield_now();
        for _ in 0..10 {
            root.unpark();
            other.unpark();
            sched::yield_now();
        }
        assert!(!parked.is_finished());
    });
}

#[test]
fn a_destructor_at_the_end_cannot_send_to_its_shard() {
    struct Sends(sched::ShardHandle, std::sync::mpsc::Sender<Result<(), sched::SpawnError>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.spawn(|| ()));
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    sched::run(move || {
        let sends = Sends(sched::ShardHandle::current(), sender);
        sched::spawn(move || {
            let _sends = sends;
            sched::park();
        });
        sched::yield_now();
    });
    assert_eq!(receiver.recv().unwrap(), Err(sched::SpawnError::Closed));
}

#[test]
fn no_message_is_leaked_by_a_shard_that_ends_meanwhile() {
    for _ in 0..20 {
        let held = Arc::new(());
        let senders = sched::run_with(sched::Config::default(), {
            let held = Arc::clone(&held);
            move || {
                let me = sched::current();
                let senders: Vec<_> = (0..2)
                    .map(|_| {
                        let (shard, me) = (sched::ShardHandle::current(), me.clone());
                        let held = Arc::clone(&held);
                        thread::spawn(move || {
                            let message = |held: Arc<()>, me: sched::Fiber| {
                                move || {
                                    me.unpark();
                                    drop(held);
                                }
                            };
                            let mut left = 200;
                            while left > 0
                                && shard.spawn(message(Arc::clone(&held), me.clone())).is_ok()
                            {
                                left -= 1;
                            }
                        })
                    })
                    .collect();
                sched::park(); // until the first message; the others keep coming
                senders
            }
        });
        for sender in senders.unwrap() {
            sender.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
