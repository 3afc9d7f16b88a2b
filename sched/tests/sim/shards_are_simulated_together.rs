//! Several shards of a simulation take turns on one thread, and are shards all the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use straightline_sched::sim;
use straightline_sched::sync::{Barrier, Mutex, mpsc, oneshot};
use straightline_sched::{self as sched, Config, ShardHandle, SpawnError};

#[test]
fn they_run_on_the_callers_thread() {
    let ran_on = sim::run(1, || {
        let shard = sched::spawn_shard("other", Config::default(), || thread::current().id());
        shard.unwrap().join().unwrap().unwrap()
    });
    assert_eq!(ran_on, thread::current().id());
}

#[test]
fn they_run_interleaved_in_every_order() {
    let history = |seed| {
        sim::run(seed, || {
            let order = Arc::new(Mutex::new(Vec::new()));
            let shards: Vec<_> = (0..2)
                .map(|number| {
                    let order = Arc::clone(&order);
                    let root = move || {
                        for _ in 0..2 {
                            order.lock().unwrap().push(number);
                            sched::yield_now();
                        }
                    };
                    sched::spawn_shard("worker", Config::default(), root).unwrap()
                })
                .collect();
            shards.into_iter().for_each(|shard| shard.join().unwrap().unwrap());
            order.lock().unwrap().clone()
        })
    };
    let histories: BTreeSet<Vec<i32>> = (0..200).map(history).collect();
    assert_eq!(histories.len(), 6, "{histories:?}"); // all orders of two and two steps
}

#[test]
fn messages_locks_and_barriers_work_across_them() {
    sim::check(|| {
        let (sender, receiver) = mpsc::channel(1);
        let (barrier, total) = (Arc::new(Barrier::new(3)), Arc::new(Mutex::new(0)));
        let shards: Vec<_> = (1..=3)
            .map(|number| {
                let (sender, barrier) = (sender.clone(), Arc::clone(&barrier));
                let total = Arc::clone(&total);
                let root = move || {
                    barrier.wait().unwrap();
                    let mut total = total.lock().unwrap();
                    sched::sleep(Duration::from_millis(number));
                    *total += number;
                    drop(total);
                    sender.send(number).unwrap();
                };
                sched::spawn_shard("worker", Config::default(), root).unwrap()
            })
            .collect();
        drop(sender);
        let all: BTreeSet<u64> = std::iter::from_fn(|| receiver.recv().ok()).collect();
        assert_eq!(all, BTreeSet::from([1, 2, 3]));
        shards.into_iter().for_each(|shard| shard.join().unwrap().unwrap());
        assert_eq!(*total.lock().unwrap(), 6);
    });
}

#[test]
fn fibers_can_be_sent_until_the_shard_has_ended() {
    sim::check(|| {
        let (handle_sender, handle) = oneshot::channel();
        let shard = sched::spawn_shard("other", Config::default(), move || {
            handle_sender.send((ShardHandle::current(), sched::current())).unwrap();
            sched::park();
        });
        let (handle, root) = handle.recv().unwrap();
        let (sender, receiver) = oneshot::channel();
        handle.spawn(move || sender.send(sched::random_u64()).unwrap()).unwrap();
        receiver.recv().unwrap();
        root.unpark();
        shard.unwrap().join().unwrap().unwrap();
        assert_eq!(handle.spawn(|| ()), Err(SpawnError::Closed));
    });
}

#[test]
fn what_is_left_when_a_shards_root_ends_is_cancelled() {
    sim::check(|| {
        struct Count(Arc<AtomicU32>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&dropped);
        let shard = sched::spawn_shard("other", Config::default(), move || {
            for _ in 0..3 {
                let count = Count(Arc::clone(&count));
                sched::spawn(move || {
                    sched::park();
                    drop(count);
                });
            }
            sched::yield_now();
        });
        shard.unwrap().join().unwrap().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_panic_of_a_shards_root_is_the_joiners() {
    let root = || {
        sim::run(1, || {
            let shard = sched::spawn_shard("other", Config::default(), || panic!("of the root"));
            let shard: sched::ShardJoinHandle<()> = shard.unwrap();
            shard.join().unwrap_err().downcast_ref::<&str>().copied()
        })
    };
    assert_eq!(root(), Some("of the root"));
    // The handle returns the panic, as the handle of a thread does.
    let shard = sched::spawn_shard("other", Config::default(), || panic!("of the root"));
    let shard: sched::ShardJoinHandle<()> = shard.unwrap();
    assert_eq!(shard.join().unwrap_err().downcast_ref::<&str>(), Some(&"of the root"));
}

#[test]
fn a_shard_that_is_not_joined_has_its_time_to_end() {
    sim::run(1, || {
        let root = || sched::sleep(Duration::from_secs(30));
        drop(sched::spawn_shard("other", Config::default(), root));
    });
}
