//! Who waits for a condition is notified in turn, and one that is cancelled passes it on.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{on_a_shard, settle};
use straightline_sched::{
    self as sched, JoinHandle,
    sync::{Condvar, Mutex},
};

type Shared = Rc<(Mutex<u32>, Condvar)>;

/// Fibers that wait for one notification each.
fn waiters(shared: &Shared, count: usize) -> Vec<JoinHandle<()>> {
    let waiters = (0..count)
        .map(|_| {
            let shared = Rc::clone(shared);
            sched::spawn(move || {
                let mut guard = shared.0.lock().expect("it may wait");
                shared.1.wait(&mut guard).expect("it may wait");
                *guard += 1;
            })
        })
        .collect();
    settle();
    waiters
}

fn finished(fibers: &[JoinHandle<()>]) -> Vec<bool> {
    settle();
    fibers.iter().map(JoinHandle::is_finished).collect()
}

#[test]
fn one_notification_wakes_the_first_and_another_all() {
    on_a_shard(|| {
        let shared = Shared::default();
        shared.1.notify_one(); // nobody waits: it is not kept
        let fibers = waiters(&shared, 4);
        assert_eq!(finished(&fibers), [false; 4]);
        shared.1.notify_one();
        assert_eq!(finished(&fibers), [true, false, false, false]);
        shared.1.notify_all();
        assert_eq!(finished(&fibers), [true; 4]);
        assert_eq!(*shared.0.lock().unwrap(), 4);
    });
}

#[test]
fn a_cancelled_waiter_passes_its_notification_on() {
    on_a_shard(|| {
        let shared = Shared::default();
        let fibers = waiters(&shared, 2);
        shared.1.notify_one();
        fibers[0].cancel(); // before it has run
        assert_eq!(finished(&fibers), [true, true]);
        assert_eq!(*shared.0.lock().unwrap(), 1);
    });
}

#[test]
fn so_does_one_that_is_cancelled_while_it_waits_for_the_lock_again() {
    on_a_shard(|| {
        let shared = Shared::default();
        let fibers = waiters(&shared, 2);
        let held = shared.0.lock().unwrap();
        shared.1.notify_one();
        settle(); // the first is notified, and waits for the lock
        fibers[0].cancel();
        settle();
        drop(held);
        assert_eq!(finished(&fibers), [true, true]);
        assert_eq!(*shared.0.lock().unwrap(), 1);
    });
}

#[test]
fn a_cancelled_waiter_without_a_notification_wakes_nobody() {
    on_a_shard(|| {
        let shared = Shared::default();
        let fibers = waiters(&shared, 2);
        fibers[0].cancel();
        assert_eq!(finished(&fibers), [true, false]);
    });
}

#[test]
fn a_wait_for_a_condition_ends_when_it_is_met() {
    on_a_shard(|| {
        let shared = Shared::default();
        let (looks, fiber) = (Rc::new(Cell::new(0)), Rc::clone(&shared));
        let fiber = sched::spawn({
            let looks = Rc::clone(&looks);
            move || {
                let mut guard = fiber.0.lock().unwrap();
                let unmet = |count: &mut u32| {
                    looks.set(looks.get() + 1);
                    *count < 3
                };
                fiber.1.wait_while(&mut guard, unmet).unwrap();
                *guard
            }
        });
        for count in 1..=3 {
            settle();
            assert!(!fiber.is_finished());
            *shared.0.lock().unwrap() = count;
            shared.1.notify_one();
        }
        assert_eq!(fiber.join().unwrap(), 3);
        assert_eq!(looks.get(), 4);
    });
}

#[test]
fn a_guard_whose_wait_unwound_is_empty() {
    on_a_shard(|| {
        let shared = Shared::default();
        let fiber = sched::spawn({
            let shared = Rc::clone(&shared);
            move || {
                let mut guard = shared.0.lock().unwrap();
                let wait = std::panic::AssertUnwindSafe(|| shared.1.wait(&mut guard));
                assert!(std::panic::catch_unwind(wait).is_err());
                *guard
            }
        });
        settle();
        fiber.cancel();
        let message = fiber.join().unwrap_err().to_string();
        assert!(message.contains("given up"), "{message}");
        assert!(shared.0.try_lock().is_some());
    });
}
