//! If a scope's fiber panics and is not joined, the scope raises that panic when all of its fibers
//! have ended.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, JoinHandle, Scope};

/// The payload of the scope's panic.
fn panic_of<'env>(body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>)) -> &'static str {
    let caught = catch_unwind(AssertUnwindSafe(|| sched::scope(body)));
    caught.expect_err("a panic").downcast_ref::<&str>().expect("a panic of these tests")
}

#[test]
fn it_is_the_scopes_after_the_others_were_cancelled() {
    run(|| {
        let ended = Cell::new(0);
        let message = panic_of(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let _ended = OnDrop(|| ended.set(ended.get() + 1));
                    sched::park();
                });
            }
            s.spawn(|| {
                turns(2);
                panic!("a child");
            });
        });
        assert_eq!((message, ended.get()), ("a child", 3));
    });
}

#[test]
fn the_first_of_them_is_the_scopes() {
    run(|| {
        let message = panic_of(|s| {
            s.spawn(|| {
                turns(2);
                panic!("second");
            });
            s.spawn(|| panic!("first"));
            turns(5);
        });
        assert_eq!(message, "first");
    });
}

#[test]
fn one_that_was_joined_is_the_joiners() {
    run(|| {
        let joined = sched::scope(|s| {
            s.spawn(|| panic!("a child")).join().map(|()| "returned").unwrap_err().to_string()
        });
        assert_eq!(joined, "the fiber panicked: a child");
    });
}

#[test]
fn the_panic_of_the_body_comes_before() {
    run(|| {
        let message = panic_of(|s| {
            s.spawn(|| panic!("a child"));
            sched::yield_now();
            panic!("the body");
        });
        assert_eq!(message, "the body");
    });
}

#[test]
fn a_child_that_was_cancelled_is_no_panic() {
    run(|| {
        let value = sched::scope(|s| {
            let child = s.spawn(sched::park);
            sched::yield_now();
            child.cancel();
            5
        });
        assert_eq!(value, 5);
    });
}

#[test]
fn it_passes_through_scopes_up_to_the_one_that_catches_it() {
    run(|| {
        let message = panic_of(|s| {
            s.spawn(|| {
                sched::scope(|s| {
                    s.spawn(|| sched::scope(|s| drop(s.spawn(|| panic!("deep below")))));
                });
            });
            sched::park(); // is woken, not cancelled
        });
        assert_eq!(message, "deep below");
    });
}

#[test]
fn one_whose_handle_another_fiber_drops_is_the_scopes_then() {
    run(|| {
        let ended = Rc::new(Cell::new(false));
        let message = panic_of({
            let ended = Rc::clone(&ended);
            move |s| {
                let panics: JoinHandle<()> = s.spawn(|| panic!("a child"));
                s.spawn(move || {
                    let _ended = OnDrop(|| ended.set(true));
                    turns(3);
                    drop(panics);
                    sched::park();
                });
            }
        });
        assert_eq!((message, ended.get()), ("a child", true));
    });
}
