//! A fiber that asks for what it holds itself gets a panic that names it, instead of waiting for
//! ever.

mod common;

use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use common::{on_a_shard, settle};
use straightline_sched::{
    self as sched, Unwinding,
    sync::{Mutex, OnceCell, RwLock},
};

/// What the panic of a fiber that runs `body` says.
fn panic_of(body: impl FnOnce() + 'static) -> (String, String) {
    let fiber = sched::spawn(body);
    let name = format!("{:?}", fiber.fiber());
    (fiber.join().expect_err("it panics").to_string(), name)
}

#[test]
fn a_second_lock_of_a_mutex_panics() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(()));
        let (message, name) = panic_of({
            let mutex = Rc::clone(&mutex);
            move || {
                let _first = mutex.lock();
                let _second = mutex.lock();
            }
        });
        assert!(message.contains("deadlock: the fiber already holds this Mutex"), "{message}");
        assert!(message.contains(&name), "{message} does not name {name}");
        assert!(mutex.try_lock().is_some());
    });
}

#[test]
fn so_it_does_when_the_lock_was_handed_over() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(()));
        let held = mutex.lock().unwrap();
        let fiber = sched::spawn({
            let mutex = Rc::clone(&mutex);
            move || {
                let _first = mutex.lock();
                let _second = mutex.lock();
            }
        });
        settle();
        drop(held);
        assert!(fiber.join().unwrap_err().to_string().contains("already holds this Mutex"));
    });
}

#[test]
fn a_writer_that_asks_again_panics() {
    on_a_shard(|| {
        let again: [fn(&RwLock<()>); 2] = [|lock| drop(lock.read()), |lock| drop(lock.write())];
        for again in again {
            let (message, _) = panic_of(move || {
                let lock = RwLock::new(());
                let _first = lock.write();
                again(&lock);
            });
            assert!(message.contains("already holds this RwLock"), "{message}");
        }
    });
}

#[test]
fn an_initialiser_that_wants_the_value_panics() {
    on_a_shard(|| {
        let (message, _) = panic_of(|| {
            let cell = OnceCell::new();
            let _value = cell.get_or_init(|| cell.get_or_init(|| 5).copied().unwrap());
        });
        assert!(message.contains("already holds this OnceCell's initialiser"), "{message}");
    });
}

#[test]
fn a_destructor_gets_an_error_and_does_not_abort() {
    /// Locks again while its fiber unwinds with the lock held.
    struct LocksAgain(Rc<Mutex<Option<Unwinding>>>, Rc<Mutex<()>>);
    impl Drop for LocksAgain {
        fn drop(&mut self) {
            let error = self.1.lock().err();
            *self.0.lock().expect("nobody holds it") = error;
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
fn a_fiber_of_another_shard_is_somebody_else() {
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
