//! All messages that other threads send to a shard arrive, in each sender's order, at any time.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use straightline_sched as sched;

#[test]
fn a_message_wakes_a_sleeping_shard() {
    sched::run(|| {
        let (shard, me) = (sched::ShardHandle::current(), sched::current());
        let (sender, receiver) = mpsc::channel();
        let sender = thread::spawn(move || {
            shard.spawn(move || {
                sender.send(thread::current().id()).unwrap();
                me.unpark();
            })
        });
        let shard_thread = loop {
            match receiver.try_recv() {
                Ok(id) => break id,
                Err(_) => sched::park(), // nothing but the message can end this
            }
        };
        assert_eq!(shard_thread, thread::current().id());
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn a_message_does_not_wait_for_a_timer() {
    sched::run(|| {
        let (shard, me) = (sched::ShardHandle::current(), sched::current());
        let start = Instant::now();
        let sender = thread::spawn(move || shard.spawn(move || me.unpark()));
        sched::park_timeout(Duration::from_secs(3_600));
        assert!(start.elapsed() < Duration::from_secs(3_600));
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn a_spawned_message_is_a_fiber_like_any_other() {
    sched::run(|| {
        let (shard, me) = (sched::ShardHandle::current(), sched::current());
        let sender = thread::spawn(move || {
            shard.spawn(|| panic!("of a fiber that is not joined"))?;
            shard.spawn(move || {
                let local = Rc::new(5); // made here, so it need not be Send
                sched::sleep(Duration::from_millis(1));
                assert_eq!(sched::spawn(move || *local).join().unwrap(), 5);
                me.unpark();
            })
        });
        sched::park();
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn thousands_of_messages_arrive_in_the_order_of_each_sender() {
    const SENDERS: usize = 4;
    const MESSAGES: u32 = 2_500;
    let arrived = sched::run_with(sched::Config::default(), || {
        let arrived = Arc::new(Mutex::new(vec![Vec::new(); SENDERS]));
        let (counted, total) = (Arc::new(AtomicU32::new(0)), MESSAGES * 4);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (shard, root) = (sched::ShardHandle::current(), sched::current());
                let (arrived, counted) = (Arc::clone(&arrived), Arc::clone(&counted));
                thread::spawn(move || {
                    for message in 0..MESSAGES {
                        let (arrived, counted) = (Arc::clone(&arrived), Arc::clone(&counted));
                        let root = root.clone();
                        let sent = shard.spawn(move || {
                            arrived.lock().unwrap()[sender].push(message);
                            if counted.fetch_add(1, Ordering::Relaxed) + 1 == total {
                                root.unpark();
                            }
                        });
                        sent.unwrap();
                    }
                })
            })
            .collect();
        while counted.load(Ordering::Relaxed) < total {
            sched::park();
        }
        for sender in senders {
            sender.join().unwrap();
        }
        Arc::into_inner(arrived).unwrap().into_inner().unwrap()
    });
    for of_sender in arrived.unwrap() {
        assert!(of_sender.into_iter().eq(0..MESSAGES));
    }
}

#[test]
fn an_unpark_of_another_thread_is_never_lost() {
    sched::run(|| {
        let (turn, me) = (Arc::new(AtomicU32::new(0)), sched::current());
        let other = thread::spawn({
            let turn = Arc::clone(&turn);
            move || {
                for round in (0..2_000).step_by(2) {
                    while turn.load(Ordering::Acquire) != round {
                        thread::park();
                    }
                    turn.store(round + 1, Ordering::Release);
                    me.unpark();
                }
            }
        });
        for round in (0..2_000).step_by(2) {
            while turn.load(Ordering::Acquire) != round + 1 {
                sched::park();
            }
            turn.store(round + 2, Ordering::Release);
            other.thread().unpark();
        }
        other.join().unwrap();
    });
}

#[test]
fn unparks_of_many_threads_reach_the_fiber_they_name() {
    sched::run(|| {
        let threads_and_fibers: Vec<_> = (0..8)
            .map(|_| {
                let gate = Arc::new(AtomicU32::new(0));
                let fiber = sched::spawn({
                    let gate = Arc::clone(&gate);
                    move || {
                        while gate.load(Ordering::Acquire) == 0 {
                            sched::park();
                        }
                    }
                });
                let named = fiber.fiber();
                let thread = thread::spawn(move || {
                    gate.store(1, Ordering::Release);
                    named.unpark();
                });
                (thread, fiber)
            })
            .collect();
        for (thread, fiber) in threads_and_fibers {
            fiber.join().unwrap();
            thread.join().unwrap();
        }
    });
}

/// The number of messages that the shard reads after `flood` has run on another thread. Meanwhile a
/// fiber keeps the shard's thread.
fn read_after(flood: impl FnOnce(sched::ShardHandle, sched::Fiber) + Send + 'static) -> u64 {
    sched::run(|| {
        let unparked = sched::spawn(sched::park);
        sched::yield_now();
        let (shard, fiber) = (sched::ShardHandle::current(), unparked.fiber());
        let before = sched::stats().messages;
        // A join of a plain thread blocks the shard's thread, and so keeps it.
        thread::spawn(move || flood(shard, fiber)).join().expect("no panic");
        while !unparked.is_finished() {
            sched::yield_now();
        }
        sched::stats().messages - before
    })
}

#[test]
fn wake_ups_of_a_shard_that_is_kept_do_not_pile_up() {
    let read = read_after(|_, fiber| (0..300_000).for_each(|_| fiber.unpark()));
    assert!((1..5_000).contains(&read), "{read}");
}

#[test]
fn questions_whose_callers_have_left_do_not_pile_up() {
    let read = read_after(|shard, fiber| {
        for _ in 0..20_000 {
            assert!(shard.inspect(0, Duration::ZERO).is_err());
        }
        fiber.unpark();
    });
    assert!((1..5_000).contains(&read), "{read}");
}

#[test]
fn what_is_sent_between_wake_ups_arrives_all_of_it_and_in_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&order);
    let read = read_after(move |shard, fiber| {
        for number in 0..100_000 {
            fiber.unpark();
            if number % 100 == 0 {
                let order = Arc::clone(&sent);
                shard.spawn(move || order.lock().unwrap().push(number)).unwrap();
            }
        }
    });
    assert!(read < 10_000, "{read}");
    let order = order.lock().unwrap();
    assert!(order.iter().copied().eq((0..100_000).step_by(100)), "{order:?}");
}
