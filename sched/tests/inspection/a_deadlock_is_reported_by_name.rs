//! If fibers wait for each other's locks or ends in a circle, a report names them. No fiber panics,
//! because another fiber may open the circle.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use straightline_sched::sync::Mutex;
use straightline_sched::{self as sched, FiberBuilder, FiberState, JoinHandle};

use crate::common::{reported_circle, run, turns};

fn named<T: 'static>(name: &str, body: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    FiberBuilder::new().name(name).spawn(body).expect("there are stacks")
}

/// Locks `first`, lets the others run, then locks `second`.
fn locker(first: &Rc<Mutex<()>>, second: &Rc<Mutex<()>>) -> impl FnOnce() + use<> {
    let (first, second) = (Rc::clone(first), Rc::clone(second));
    move || {
        let _first = first.lock().expect("the fiber does not unwind");
        sched::yield_now();
        let _second = second.lock().expect("the fiber does not unwind");
    }
}

fn two_mutexes() -> (Rc<Mutex<()>>, Rc<Mutex<()>>) {
    (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())))
}

#[test]
fn two_that_lock_in_opposite_orders() {
    let text = reported_circle(|| {
        let (a, b) = two_mutexes();
        vec![named("ann", locker(&a, &b)), named("bob", locker(&b, &a))]
    });
    assert!(text.starts_with("deadlock: fibers wait for each other in a circle"), "{text}");
    assert!(text.contains("Mutex::lock, taken by fiber `ann`"), "{text}");
    assert!(text.contains("Mutex::lock, taken by fiber `bob`"), "{text}");
}

#[test]
fn three_in_a_circle_of_locks() {
    let text = reported_circle(|| {
        let [a, b, c] = [(); 3].map(|()| Rc::new(Mutex::new(())));
        vec![
            named("ann", locker(&a, &b)),
            named("bob", locker(&b, &c)),
            named("cat", locker(&c, &a)),
        ]
    });
    for name in ["ann", "bob", "cat"] {
        assert!(text.contains(&format!("taken by fiber `{name}`")), "{text}");
    }
}

#[test]
fn a_join_of_a_fiber_that_waits_for_the_joiners_lock() {
    let text = reported_circle(|| {
        let lock = Rc::new(Mutex::new(()));
        vec![named("joiner", move || {
            let _held = lock.lock().expect("the fiber does not unwind");
            let waiter = named("waiter", {
                let lock = Rc::clone(&lock);
                move || drop(lock.lock())
            });
            sched::yield_now();
            let _ = waiter.join();
        })]
    });
    assert!(text.contains("the end of fiber `waiter`"), "{text}");
    assert!(text.contains("Mutex::lock, taken by fiber `joiner`"), "{text}");
}

/// Joins of a scope's fibers do not panic, because the scope could cancel these fibers.
#[test]
fn joins_in_a_scope() {
    let text = reported_circle(|| {
        vec![named("parent", || {
            let own = RefCell::new(None);
            sched::scope(|s| {
                let child = FiberBuilder::new().name("child").spawn_scoped(s, || {
                    let own: JoinHandle<()> = own.take().expect("the handle is set");
                    let _ = own.join();
                });
                own.replace(Some(child.expect("there are stacks")));
                sched::park();
            });
        })]
    });
    assert!(text.starts_with("deadlock: a fiber waits for what it took itself"), "{text}");
    assert!(text.contains("the end of fiber `child`"), "{text}");
}

#[test]
fn a_circle_that_a_supervisor_opens_goes_on() {
    run(|| {
        let (a, b) = two_mutexes();
        let (ann, bob) = (named("ann", locker(&a, &b)), named("bob", locker(&b, &a)));
        turns(3);
        assert!(!ann.is_finished() && !bob.is_finished());
        bob.cancel();
        assert!(bob.join().expect_err("the fiber was cancelled").is_cancelled());
        ann.join().expect("the fiber gets its locks");
    });
}

/// The scheduler cannot know that a guard has moved to another fiber: for it each fiber waits for
/// the other's lock.
#[test]
fn a_circle_that_a_guard_in_other_hands_opens_goes_on() {
    run(|| {
        let (a, b) = two_mutexes();
        sched::scope(|s| {
            let guard = a.lock().expect("the fiber does not unwind");
            s.spawn(|| {
                let _b = b.lock().expect("the fiber does not unwind");
                drop(a.lock().expect("the fiber does not unwind"));
            });
            sched::yield_now();
            s.spawn(move || {
                turns(3);
                drop(guard);
            });
            drop(b.lock().expect("the fiber does not unwind"));
        });
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
        assert!(hasty.join().expect("the deadline ended its wait"));
        patient.join().expect("the fiber gets the lock then");
    });
}

/// The circle ends by its deadlines. The third fiber waits for a fiber of the circle, but is not in
/// it.
#[test]
fn a_fiber_that_waits_for_a_circle_is_not_in_it() {
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
        let third = named("third", move || drop(a.lock().expect("the fiber does not unwind")));
        third.join().expect("the fiber gets the lock");
        assert!(
            first.join().expect("the fiber returns") | second.join().expect("the fiber returns")
        );
    });
}

#[test]
fn the_listing_names_the_fiber_that_holds_the_lock() {
    run(|| {
        let lock = Rc::new(Mutex::new(()));
        let holder = named("holder", {
            let lock = Rc::clone(&lock);
            move || {
                let _held = lock.lock().expect("the fiber does not unwind");
                sched::park();
            }
        });
        sched::yield_now();
        let waiter = named("waiter", move || drop(lock.lock()));
        sched::yield_now();
        let fibers = sched::inspect();
        let state = fibers.iter().find(|fiber| fiber.name.as_deref() == Some("waiter"));
        let FiberState::Waiting(what) = &state.expect("the waiter is listed").state else {
            panic!("the waiter does not wait");
        };
        assert!(what.starts_with("Mutex::lock, taken by fiber `holder`"), "{what}");
        holder.fiber().unpark();
        holder.join().expect("the fiber returns");
        waiter.join().expect("the fiber returns");
    });
}
