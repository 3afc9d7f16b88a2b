//! A scope that a destructor opens during an unwind starts no fibers, and so does not wait.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, scope, try_scope};

/// Calls `in_drop` in a destructor of fibers that panic and that are cancelled.
fn while_unwinding(in_drop: impl Fn() + Clone + 'static) {
    for end in [sched::park, || panic!("broken")] {
        let others_ran = Rc::new(Cell::new(false));
        let (in_drop, others) = (in_drop.clone(), Rc::clone(&others_ran));
        let fiber = sched::spawn(move || {
            let _guard = OnDrop(|| {
                let others = Rc::clone(&others);
                drop(sched::spawn(move || others.set(true)));
                in_drop();
                assert!(!others_ran.get(), "the destructor waited");
            });
            sched::yield_now();
            end();
        });
        turns(3);
        fiber.cancel();
        assert!(fiber.join().is_err());
    }
}

#[test]
fn a_scope_during_unwinding_starts_nothing() {
    run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let in_drop = Rc::clone(&log);
        while_unwinding(move || {
            let dropped = Cell::new(0);
            let value = scope(|s| {
                let held = OnDrop(|| dropped.set(dropped.get() + 1));
                let fiber = s.spawn(move || drop(held));
                assert_eq!((fiber.is_finished(), dropped.get()), (true, 1));
                assert!(fiber.join().unwrap_err().is_cancelled());
                "returned"
            });
            let tried = try_scope(|s| {
                s.spawn(|| Err("never begins"));
                Ok("tried")
            });
            in_drop.borrow_mut().extend([value, tried.unwrap()]);
        });
        assert_eq!(log.take(), ["returned", "tried", "returned", "tried"]);
    });
}

#[test]
fn a_scope_in_a_destructor_that_panics_itself_passes_the_panic_on() {
    run(|| {
        while_unwinding(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    drop(s.spawn(|| unreachable!("never begins")));
                    panic!("in the scope");
                })
            }));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"in the scope"));
        });
    });
}

/// A destructor may not wait for fibers that were started before it.
#[test]
fn a_destructor_within_the_body_leaves_the_wait_to_the_scope() {
    run(|| {
        let (ended, seen) = (Cell::new(false), Cell::new(true));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| {
                    let _ended = OnDrop(|| ended.set(true));
                    sched::park();
                });
                sched::yield_now();
                let _guard = OnDrop(|| {
                    s.cancel();
                    turns(3);
                    seen.set(ended.get());
                });
                panic!("broken");
            })
        }));
        assert!(caught.is_err());
        assert_eq!((seen.get(), ended.get()), (false, true));
    });
}

/// If the fiber does not unwind, a scope in a destructor is a scope like any other.
#[test]
fn a_scope_in_a_destructor_waits_if_nothing_unwinds() {
    run(|| {
        let ended = Cell::new(false);
        drop(OnDrop(|| {
            scope(|s| {
                s.spawn(|| {
                    turns(3);
                    ended.set(true);
                });
            });
            assert!(ended.get());
        }));
    });
}
