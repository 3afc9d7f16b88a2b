//! Fibers that wait for each other's locks and ends in a circle hear of it, by name.

use std::rc::Rc;
use std::time::Duration;

use straightline_sched::sync::Mutex;
use straightline_sched::{self as sched, Builder, FiberState, JoinHandle};

mod common;

use common::run;

fn named<T: 'static>(name: &str, body: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    Builder::new().name(name).spawn(body).expect("there are stacks")
}

/// The message of a fiber that panicked.
fn message(fiber: JoinHandle<()>) -> String {
    let error = fiber.join().expect_err("it panics");
    assert!(error.is_panic(), "{error}");
    error.to_string()
}

/// Locks `first`, lets the others run, then locks `second`.
fn locker(first: &Rc<Mutex<()>>, second: &Rc<Mutex<()>>) -> impl FnOnce() + use<> {
    let (first, second) = (Rc::clone(first), Rc::clone(second));
    move || {
        let _first = first.lock().expect("it does not unwind");
        sched::yield_now();
        let _second = second.lock().expect("it does not unwind");
    }
}

#[test]
fn two_that_lock_in_opposite_orders() {
    run(|| {
        let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
        let ann = named("ann", locker(&a, &b));
        let bob = named("bob", locker(&b, &a));
        let text = message(bob);
        assert!(text.contains("deadlock: fiber `bob`"), "{text}");
        assert!(text.contains("for fiber `ann`"), "{text}");
        ann.join().expect("the other one's unwinding has released its lock");
    });
}

#[test]
fn three_in_a_circle_of_locks() {
    run(|| {
        let [a, b, c] = [(); 3].map(|()| Rc::new(Mutex::new(())));
        let ann = named("ann", locker(&a, &b));
        let bob = named("bob", locker(&b, &c));
        let cat = named("cat", locker(&c, &a));
        let text = message(cat);
        for name in ["ann", "bob", "cat"] {
            assert!(text.contains(&format!("fiber `{name}`")), "{text}");
        }
        ann.join().expect("it gets its locks");
        bob.join().expect("it gets its locks");
    });
}

#[test]
fn a_join_of_whoever_waits_for_the_own_lock() {
    run(|| {
        let lock = Rc::new(Mutex::new(()));
        let joiner = named("joiner", {
            let lock = Rc::clone(&lock);
            move || {
                let _held = lock.lock().expect("it does not unwind");
                let waiter = named("waiter", {
                    let lock = Rc::clone(&lock);
                    move || drop(lock.lock())
                });
                sched::yield_now();
                let _ = waiter.join();
            }
        });
        let text = message(joiner);
        assert!(text.contains("JoinHandle::join for fiber `waiter`"), "{text}");
        assert!(text.contains("Mutex::lock for fiber `joiner`"), "{text}");
    });
}

#[test]
fn a_circle_with_a_way_out_is_none() {
    run(|| {
        let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
        let patient = named("patient", locker(&a, &b));
        let hasty = named("hasty", {
            let locks = locker(&b, &a);
            move || sched::deadline(Duration::from_millis(10), locks).is_err()
        });
        assert!(hasty.join().expect("its deadline is its way out"));
        patient.join().expect("it gets the lock then");
    });
}

/// A circle that had a way out when it was closed, and somebody at the side of it.
#[test]
fn who_waits_for_a_circle_is_not_in_it() {
    run(|| {
        let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
        let first = named("first", {
            let locks = locker(&a, &b);
            move || sched::deadline(Duration::from_millis(20), locks).is_err()
        });
        let second = named("second", {
            let locks = locker(&b, &a);
            move || sched::deadline(Duration::from_millis(20), locks).is_err()
        });
        sched::yield_now();
        sched::yield_now();
        let third = named("third", move || drop(a.lock().expect("it does not unwind")));
        third.join().expect("it waits its turn");
        assert!(first.join().expect("it returns") | second.join().expect("it returns"));
    });
}

#[test]
fn the_listing_tells_who_holds_the_lock() {
    run(|| {
        let lock = Rc::new(Mutex::new(()));
        let holder = named("holder", {
            let lock = Rc::clone(&lock);
            move || {
                let _held = lock.lock().expect("it does not unwind");
                sched::park();
            }
        });
        sched::yield_now();
        let waiter = named("waiter", move || drop(lock.lock()));
        sched::yield_now();
        let fibers = sched::inspect();
        let state = fibers.iter().find(|fiber| fiber.name.as_deref() == Some("waiter"));
        let FiberState::Waiting(what) = &state.expect("it waits").state else {
            panic!("it waits");
        };
        assert!(what.starts_with("Mutex::lock, held by fiber `holder`"), "{what}");
        holder.fiber().unpark();
        holder.join().expect("it returns");
        waiter.join().expect("it returns");
    });
}
