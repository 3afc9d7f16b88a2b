//! A mutex lets one fiber in at a time, in the order of their `lock` calls. A newcomer overtakes no
//! waiter.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::common::{on_a_shard, settle};
use straightline_sched::{self as sched, sync::Mutex};

#[test]
fn waiters_are_let_in_in_order() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(Vec::new()));
        let held = mutex.lock().unwrap();
        let fibers: Vec<_> = (0..10)
            .map(|number| {
                let mutex = Rc::clone(&mutex);
                let fiber = sched::spawn(move || mutex.lock().unwrap().push(number));
                sched::yield_now();
                fiber
            })
            .collect();
        drop(held);
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert!(mutex.lock().unwrap().iter().copied().eq(0..10));
    });
}

#[test]
fn a_newcomer_does_not_overtake_a_waiter_that_was_promised_the_lock() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(()));
        let order = Rc::new(RefCell::new(Vec::new()));
        let held = mutex.lock().unwrap();
        let waiter = sched::spawn({
            let (mutex, order) = (Rc::clone(&mutex), Rc::clone(&order));
            move || {
                let _guard = mutex.lock().unwrap();
                order.borrow_mut().push("waiter");
            }
        });
        settle();
        drop(held);
        assert!(mutex.try_lock().is_none()); // though the waiter has not run yet
        drop(mutex.lock().unwrap());
        order.borrow_mut().push("newcomer");
        waiter.join().unwrap();
        assert_eq!(*order.borrow(), ["waiter", "newcomer"]);
    });
}

#[test]
fn no_other_fiber_is_let_in_while_the_holder_waits() {
    on_a_shard(|| {
        let (mutex, inside) = (Rc::new(Mutex::new(0)), Rc::new(Cell::new(0)));
        let fibers: Vec<_> = (0..20)
            .map(|turns| {
                let (mutex, inside) = (Rc::clone(&mutex), Rc::clone(&inside));
                sched::spawn(move || {
                    for _ in 0..10 {
                        let mut total = mutex.lock().unwrap();
                        inside.set(inside.get() + 1);
                        assert_eq!(inside.get(), 1);
                        (0..turns % 3).for_each(|_| sched::yield_now());
                        *total += 1;
                        inside.set(inside.get() - 1);
                    }
                })
            })
            .collect();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(Rc::into_inner(mutex).unwrap().into_inner(), 200);
    });
}

#[test]
fn a_loop_that_locks_again_at_once_lets_others_in() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(Vec::new()));
        let fibers: Vec<_> = ["one", "two"]
            .map(|name| {
                let mutex = Rc::clone(&mutex);
                sched::spawn(move || {
                    for _ in 0..5 {
                        let mut order = mutex.lock().unwrap();
                        order.push(name);
                        sched::yield_now();
                    }
                })
            })
            .into_iter()
            .collect();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        let order = mutex.lock().unwrap();
        assert!(order.chunks(2).all(|pair| pair == ["one", "two"]), "{order:?}");
    });
}

#[test]
fn a_cancelled_waiter_gives_its_turn_to_the_next() {
    on_a_shard(|| {
        // Cancels a waiter at each moment of its wait: while the lock is held, and just after the
        // lock was handed to it.
        for released_first in [false, true] {
            let mutex = Rc::new(Mutex::new(Vec::new()));
            let held = mutex.lock().unwrap();
            let fibers: Vec<_> = (0..3)
                .map(|number| {
                    let mutex = Rc::clone(&mutex);
                    sched::spawn(move || mutex.lock().unwrap().push(number))
                })
                .collect();
            settle();
            if released_first {
                drop(held);
                fibers[0].cancel();
            } else {
                fibers[0].cancel();
                settle();
                drop(held);
            }
            let ends = fibers.into_iter().map(|fiber| fiber.join().is_ok());
            assert!(ends.eq([false, true, true]));
            assert_eq!(*mutex.lock().unwrap(), [1, 2]);
        }
    });
}
