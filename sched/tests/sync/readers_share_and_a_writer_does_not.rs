//! A read-write lock lets readers in together and writers alone, in the order of their calls.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::common::{on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::{self as sched, sync::RwLock};

quickcheck! {
    /// Fibers ask for the lock at any time, hold it for any number of turns, and may be cancelled.
    /// A writer never holds the lock together with another fiber, and in the end the lock is free.
    fn a_writer_is_always_alone(visits: Vec<(bool, u8, bool)>) -> bool {
        on_a_shard(move || {
            let lock = Rc::new(RwLock::new(()));
            let (readers, writers) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let fibers: Vec<_> = visits
                .into_iter()
                .map(|(writes, turns, cancel)| {
                    let lock = Rc::clone(&lock);
                    let (here, others) = (Rc::clone(&readers), Rc::clone(&writers));
                    let (here, others) = if writes { (others, here) } else { (here, others) };
                    let fiber = sched::spawn(move || {
                        let _guards = if writes {
                            (Some(lock.write().unwrap()), None)
                        } else {
                            (None, Some(lock.read().unwrap()))
                        };
                        let _inside = Inside::new(&here);
                        assert!(others.get() == 0 && (!writes || here.get() == 1));
                        (0..turns % 4).for_each(|_| sched::yield_now());
                    });
                    (0..turns % 3).for_each(|_| sched::yield_now());
                    if cancel {
                        fiber.cancel();
                    }
                    fiber
                })
                .collect();
            let no_panic = fibers.into_iter().all(|fiber| match fiber.join() {
                Ok(()) => true,
                Err(error) => error.is_cancelled(),
            });
            no_panic && lock.try_write().is_some()
        })
    }
}

/// Counts the fibers that hold the lock.
struct Inside<'c>(&'c Cell<u32>);

impl<'c> Inside<'c> {
    fn new(count: &'c Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn readers_are_in_together() {
    on_a_shard(|| {
        let lock = RwLock::new(5);
        let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
        assert_eq!(*one + *two, 10);
        assert!(lock.try_write().is_none());
    });
}

#[test]
fn a_reader_waits_behind_a_waiting_writer() {
    on_a_shard(|| {
        let (lock, order) = (Rc::new(RwLock::new(())), Rc::new(RefCell::new(Vec::new())));
        let first = lock.read().unwrap();
        let come = |name, writes| {
            let (lock, order) = (Rc::clone(&lock), Rc::clone(&order));
            let fiber = sched::spawn(move || {
                if writes {
                    let _guard = lock.write().unwrap();
                    order.borrow_mut().push(name);
                } else {
                    let _guard = lock.read().unwrap();
                    order.borrow_mut().push(name);
                }
            });
            settle();
            fiber
        };
        let fibers = [come("writer", true), come("reader", false), come("another", false)];
        assert!(lock.try_read().is_none());
        assert!(order.borrow().is_empty());
        drop(first);
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(*order.borrow(), ["writer", "reader", "another"]);
    });
}

#[test]
fn readers_behind_a_cancelled_writer_are_let_in() {
    on_a_shard(|| {
        let lock = Rc::new(RwLock::new(()));
        let first = lock.read().unwrap();
        let writer = sched::spawn({
            let lock = Rc::clone(&lock);
            move || drop(lock.write())
        });
        settle();
        let reader = sched::spawn({
            let lock = Rc::clone(&lock);
            move || lock.read().is_ok()
        });
        settle();
        writer.cancel();
        assert!(reader.join().unwrap());
        drop(first);
    });
}
