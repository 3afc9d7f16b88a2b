//! Fibers that wait for a condition are notified in turn. A fiber that is cancelled passes its
//! notification on. After its wait a fiber holds the lock, however the wait has ended.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{on_a_shard, settle};
use straightline_sched::{
    self as sched, JoinHandle, sim,
    sync::{Condvar, Mutex, MutexGuard},
};

type Shared = Rc<(Mutex<u32>, Condvar)>;

/// Fibers that wait for one notification each.
fn waiters(shared: &Shared, count: usize) -> Vec<JoinHandle<()>> {
    let waiters = (0..count)
        .map(|_| {
            let shared = Rc::clone(shared);
            sched::spawn(move || {
                let mut guard = shared.0.lock().expect("the fiber may wait");
                shared.1.wait(&mut guard).expect("the fiber may wait");
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
        shared.1.notify_one(); // no fiber waits: it is not kept
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
fn a_waiter_that_is_cancelled_while_it_waits_for_the_lock_passes_it_on_too() {
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
fn a_cancelled_waiter_without_a_notification_wakes_no_other() {
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

/// Changes the value of its guard when it is dropped.
struct Adds<'m>(MutexGuard<'m, u32>);

impl Drop for Adds<'_> {
    fn drop(&mut self) {
        *self.0 += 10;
    }
}

#[test]
fn a_guard_whose_wait_unwound_is_as_good_as_before() {
    let ends: [fn(&Shared, JoinHandle<()>); 2] = [
        |_, fiber| fiber.cancel(),
        |shared, fiber| {
            // Cancels the waiter just after it was notified, and while it waits for the lock again.
            shared.1.notify_one();
            fiber.cancel();
            let _held = shared.0.lock();
            settle();
        },
    ];
    for end in ends {
        on_a_shard(move || {
            let shared = Shared::default();
            let fiber = sched::spawn({
                let shared = Rc::clone(&shared);
                move || {
                    let mut adds = Adds(shared.0.lock().unwrap());
                    let wait = AssertUnwindSafe(|| shared.1.wait(&mut adds.0));
                    let payload = catch_unwind(wait).unwrap_err();
                    assert!(shared.0.try_lock().is_none(), "the waiter holds the lock again");
                    *adds.0 += 1;
                    resume_unwind(payload);
                }
            });
            settle();
            end(&shared, fiber);
            settle();
            assert_eq!(shared.0.try_lock().as_deref(), Some(&11));
        });
    }
}

#[test]
fn a_deadline_leaves_the_guard_as_it_was() {
    sim::run(1, || {
        let shared = Shared::default();
        let mut guard = shared.0.lock().unwrap();
        let waited = sched::deadline(ms(5), || shared.1.wait(&mut guard));
        assert_eq!(waited, Err(sched::DeadlineExceeded));
        *guard += 1;
        assert!(shared.0.try_lock().is_none());
        // After its deadline the waiter still waits until the lock is free.
        let holder = Rc::new(Cell::new(None));
        sched::scope(|s| {
            s.spawn(|| {
                let held = shared.0.lock().unwrap();
                holder.set(Some(*held));
                sched::sleep(ms(50));
            });
            let waited = sched::deadline(ms(5), || shared.1.wait(&mut guard));
            assert_eq!(waited, Err(sched::DeadlineExceeded));
        });
        assert_eq!(holder.get(), Some(1));
        *guard += 1;
        drop(guard);
        assert_eq!(shared.0.try_lock().as_deref(), Some(&2));
    });
}

#[test]
fn a_wait_with_a_timeout_ends_when_that_has_passed_or_it_is_notified() {
    sim::run(1, || {
        let shared = Shared::default();
        let begin = sched::turn_start();
        let mut guard = shared.0.lock().unwrap();
        assert!(shared.1.wait_timeout(&mut guard, ms(5)).unwrap().timed_out());
        assert!(sched::turn_start() - begin >= ms(5));
        *guard += 1;
        sched::scope(|s| {
            s.spawn(|| {
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_one();
            });
            assert!(!shared.1.wait_timeout(&mut guard, ms(1_000)).unwrap().timed_out());
            assert_eq!(*guard, 2);
            s.spawn(|| shared.1.notify_one());
            assert!(!shared.1.wait_timeout(&mut guard, Duration::MAX).unwrap().timed_out());
        });
    });
}

#[test]
fn a_wait_for_a_condition_with_a_timeout_ends_when_either_is_met() {
    sim::run(1, || {
        let shared = Shared::default();
        let (begin, mut guard) = (sched::turn_start(), shared.0.lock().unwrap());
        sched::scope(|s| {
            s.spawn(|| {
                for _ in 0..3 {
                    sched::sleep(ms(4));
                    *shared.0.lock().unwrap() += 1;
                    shared.1.notify_one();
                }
            });
            let end = shared.1.wait_timeout_while(&mut guard, ms(9), |count| *count < 3);
            assert!(end.unwrap().timed_out());
            assert_eq!(*guard, 2);
            let took = sched::turn_start() - begin;
            assert!(took >= ms(9) && took < ms(10), "{took:?}"); // the whole call, not each wait
            let end = shared.1.wait_timeout_while(&mut guard, ms(9), |count| *count < 3);
            assert!(!end.unwrap().timed_out());
            assert_eq!(*guard, 3);
        });
    });
}

/// One waiter's timeout expires, another waiter goes on waiting, and the notification comes at the
/// same moment.
#[test]
fn a_notification_is_not_lost_to_a_waiter_whose_timeout_has_expired() {
    sim::check(|| {
        let (shared, served) = (Shared::default(), Rc::new(Cell::new(0)));
        let waiter = |timeout| {
            let (shared, served) = (Rc::clone(&shared), Rc::clone(&served));
            sched::spawn(move || {
                let mut guard = shared.0.lock().unwrap();
                let end = shared.1.wait_timeout(&mut guard, timeout).unwrap();
                served.set(served.get() + u32::from(!end.timed_out()));
            })
        };
        let fibers = [waiter(ms(5)), waiter(ms(1_000))];
        sched::sleep(ms(5));
        shared.1.notify_one();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(served.get(), 1);
    });
}

#[test]
fn a_plain_thread_waits_with_a_timeout_too() {
    let shared = (Mutex::new(0), Condvar::new());
    let mut guard = shared.0.lock().unwrap();
    let timeout = ms(5);
    let end = shared.1.wait_timeout_while(&mut guard, timeout, |count| *count == 0).unwrap();
    assert!(end.timed_out());
    *guard += 1;
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
