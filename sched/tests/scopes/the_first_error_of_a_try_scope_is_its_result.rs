//! A `try_scope` returns the first error of its body or of a fiber, and cancels the other fibers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, try_scope};

/// Waits for a moment, and cannot be cancelled.
fn a_while() {
    sched::uncancellable(|| sched::sleep(Duration::from_millis(2)));
}

#[test]
fn without_an_error_it_returns_the_bodys_value() {
    run(|| {
        let sum = Cell::new(0);
        let result = try_scope(|s| {
            for number in 1..=3 {
                let sum = &sum;
                s.spawn(move || {
                    sched::yield_now();
                    sum.set(sum.get() + number);
                    Ok::<_, ()>(())
                });
            }
            Ok("value")
        });
        assert_eq!((result, sum.get()), (Ok("value"), 6));
    });
}

#[test]
fn an_error_of_a_fiber_cancels_the_others() {
    run(|| {
        let ended = Cell::new(0);
        let result = try_scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let _ended = OnDrop(|| ended.set(ended.get() + 1));
                    sched::park();
                    unreachable!("the fiber is not unparked");
                });
            }
            s.spawn(|| {
                turns(2);
                Err("the first")
            });
            Ok(())
        });
        assert_eq!((result, ended.get()), (Err("the first"), 3));
    });
}

#[test]
fn an_error_of_the_body_cancels_the_fibers() {
    run(|| {
        let ended = Cell::new(false);
        let result: Result<(), _> = try_scope(|s| {
            s.spawn(|| {
                let _ended = OnDrop(|| ended.set(true));
                sched::park();
                unreachable!("the fiber is not unparked");
            });
            sched::yield_now();
            Err("of the body")
        });
        assert_eq!((result, ended.get()), (Err("of the body"), true));
    });
}

#[test]
fn an_error_that_comes_after_the_bodys_is_dropped() {
    run(|| {
        let result: Result<(), _> = try_scope(|s| {
            s.spawn(|| {
                a_while();
                Err("too late")
            });
            sched::yield_now();
            Err("of the body")
        });
        assert_eq!(result, Err("of the body"));
    });
}

#[test]
fn an_error_of_the_body_that_comes_after_a_fibers_is_dropped() {
    run(|| {
        let result: Result<(), _> = try_scope(|s| {
            s.spawn(|| Err("the first"));
            sched::yield_now();
            Err("too late")
        });
        assert_eq!(result, Err("the first"));
    });
}

/// An error with a destructor that lets others run.
struct Slow(u32, Rc<RefCell<Vec<u32>>>);

impl Drop for Slow {
    fn drop(&mut self) {
        sched::uncancellable(sched::yield_now);
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn the_errors_destructors_may_wait() {
    run(|| {
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let result = try_scope(|s| {
            for number in 0..4 {
                let error = Slow(number, Rc::clone(&dropped));
                s.spawn(|| {
                    a_while();
                    Err(error)
                });
            }
            Ok(())
        });
        assert_eq!(result.map_err(|error| error.0), Err(0));
        dropped.borrow_mut().sort_unstable();
        assert_eq!(dropped.take(), [0, 1, 2, 3]);
    });
}
