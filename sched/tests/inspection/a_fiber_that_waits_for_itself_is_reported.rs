//! A fiber that asks for a lock that it holds waits, and a report names it. It does not panic,
//! because its guard may have moved to another fiber, which can release the lock. It panics only
//! where no other fiber can end its wait.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{on_a_shard, reported_circle, settle};
use straightline_sched::{
    self as sched, FiberBuilder, Unwinding,
    sync::{Mutex, OnceCell, RwLock},
};

/// The message of the panic of a fiber that runs `body`, and the fiber's name.
fn panic_of(body: impl FnOnce() + 'static) -> (String, String) {
    let fiber = sched::spawn(body);
    let name = format!("{:?}", fiber.fiber());
    (fiber.join().expect_err("a panic").to_string(), name)
}

/// The report about a fiber that waits for itself in `body`. A cancel then ends that wait.
fn report_of(body: impl FnOnce() + Send + 'static) -> String {
    reported_circle(|| {
        let fiber = FiberBuilder::new().name("forgetful").spawn(body).expect("there are stacks");
        settle();
        assert!(!fiber.is_finished());
        vec![fiber]
    })
}

#[test]
fn a_second_lock_of_a_mutex_is_reported() {
    let text = report_of(|| {
        let mutex = Mutex::new(());
        let _first = mutex.lock();
        let _second = mutex.lock();
    });
    assert!(text.starts_with("deadlock: a fiber waits for what it took itself"), "{text}");
    assert!(text.contains("Mutex::lock, taken by fiber `forgetful`"), "{text}");
}

#[test]
fn a_second_lock_of_a_mutex_that_was_handed_over_is_reported() {
    let text = report_of(|| {
        let mutex = Rc::new(Mutex::new(()));
        let held = mutex.lock().unwrap();
        let other = Rc::clone(&mutex);
        sched::scope(|s| {
            s.spawn(|| drop(other.lock())); // gets the lock first
            s.spawn(|| {
                let _first = other.lock();
                let _second = other.lock();
            });
            settle();
            drop(held);
        });
    });
    assert!(text.contains("Mutex::lock, taken by fiber"), "{text}");
}

#[test]
fn a_second_lock_of_a_mutex_within_a_deadline_is_reported() {
    let text = report_of(|| {
        let mutex = Mutex::new(());
        let _first = mutex.lock();
        let _ = sched::deadline(Duration::from_secs(3_600), || drop(mutex.lock()));
    });
    assert!(text.contains("Mutex::lock, taken by fiber `forgetful`"), "{text}");
    assert!(text.contains("deadline in"), "{text}");
}

#[test]
fn a_writer_that_asks_again_is_reported() {
    let again: [fn(&RwLock<()>); 2] = [|lock| drop(lock.read()), |lock| drop(lock.write())];
    for (again, call) in again.into_iter().zip(["RwLock::read", "RwLock::write"]) {
        let text = report_of(move || {
            let lock = RwLock::new(());
            let _first = lock.write();
            again(&lock);
        });
        assert!(text.contains(&format!("{call}, taken by fiber `forgetful`")), "{text}");
    }
}

/// Until the other fiber drops the guard, the wait looks like a deadlock.
#[test]
fn a_fiber_whose_guard_has_moved_to_another_gets_the_lock() {
    on_a_shard(|| {
        let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
        sched::scope(|s| {
            let (total, written) = (mutex.lock().unwrap(), lock.write().unwrap());
            s.spawn(move || {
                let (mut total, mut written) = (total, written);
                settle();
                *total += 1;
                *written += 1;
            });
            assert_eq!(*mutex.lock().unwrap(), 1);
            assert_eq!(*lock.read().unwrap(), 1);
        });
    });
}

#[test]
fn a_fiber_that_is_cancelled_releases_its_lock() {
    on_a_shard(|| {
        let mutex = Rc::new(RefCell::new(Some(Mutex::new(()))));
        let fiber = sched::spawn({
            let mutex = Rc::clone(&mutex);
            move || {
                let mutex = mutex.borrow_mut().take().unwrap();
                let _first = mutex.lock();
                let _second = mutex.lock();
            }
        });
        settle();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn an_initialiser_that_wants_the_value_panics() {
    on_a_shard(|| {
        let (message, _) = panic_of(|| {
            let cell = OnceCell::new();
            let _value = cell.get_or_init(|| cell.get_or_init(|| 5).copied().unwrap());
        });
        assert!(message.contains("the initialiser wants its own value"), "{message}");
    });
}

#[test]
fn a_destructor_gets_an_error_and_does_not_abort() {
    /// Locks again while its fiber unwinds with the lock held.
    struct LocksAgain(Rc<Mutex<Option<Unwinding>>>, Rc<Mutex<()>>);
    impl Drop for LocksAgain {
        fn drop(&mut self) {
            let error = self.1.lock().err();
            *self.0.lock().expect("the lock is free") = error;
        }
    }
    on_a_shard(|| {
        let (seen, mutex) = (Rc::new(Mutex::new(None)), Rc::new(Mutex::new(())));
        let fiber = sched::spawn({
            let (seen, mutex) = (Rc::clone(&seen), Rc::clone(&mutex));
            move || {
                let _held = mutex.lock();
                let _locks_again = LocksAgain(seen, Rc::clone(&mutex));
                resume_unwind(Box::new("broken"));
            }
        });
        assert!(fiber.join().unwrap_err().is_panic());
        assert_eq!(*seen.lock().unwrap(), Some(Unwinding));
    });
}

#[test]
fn a_fiber_of_another_shard_is_another_fiber() {
    // Both fibers are the first of their shards, and so have the same key there.
    let mutex = Arc::new(Mutex::new(0));
    let shards: Vec<_> = (0..2)
        .map(|_| {
            let mutex = Arc::clone(&mutex);
            std::thread::spawn(move || {
                on_a_shard(move || {
                    for _ in 0..1_000 {
                        let mut total = mutex.lock().unwrap();
                        *total += 1;
                        sched::yield_now();
                    }
                });
            })
        })
        .collect();
    shards.into_iter().for_each(|shard| shard.join().unwrap());
    assert_eq!(*mutex.lock().unwrap(), 2_000);
}
