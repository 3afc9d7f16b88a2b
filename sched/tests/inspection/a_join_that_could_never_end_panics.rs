//! Fibers that join each other in a circle would wait for ever: the last of them panics instead.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{run, turns};
use straightline_sched::{self as sched, JoinHandle};

type Handles = Rc<RefCell<Vec<Option<JoinHandle<()>>>>>;

/// Fibers in a circle: each joins the next through `join`.
fn circle(count: usize, join: fn(JoinHandle<()>)) -> Handles {
    let handles: Handles = Rc::default();
    let fibers = (0..count).map(|number| {
        let handles = Rc::clone(&handles);
        sched::spawn(move || {
            let next = handles.borrow_mut()[(number + 1) % count].take().expect("joined once");
            join(next);
        })
    });
    let fibers = fibers.map(Some).collect();
    handles.replace(fibers);
    handles
}

#[test]
fn a_fiber_cannot_join_itself() {
    run(|| {
        circle(1, |own| {
            let caught = catch_unwind(AssertUnwindSafe(|| own.join())).map(drop).unwrap_err();
            assert!(!sched::is_cancel(&*caught));
        });
        turns(2);
        assert_eq!(sched::stats().fibers, 2, "the root and this fiber");
    });
}

#[test]
fn the_last_of_a_circle_panics_and_the_others_get_its_panic() {
    for count in 2..6 {
        run(move || {
            circle(count, |next| next.join().unwrap());
            turns(u32::try_from(count).unwrap() * 3);
            assert_eq!(sched::stats().fibers, 2, "the root and this fiber");
        });
    }
}

#[test]
fn a_circle_that_a_deadline_will_break_may_wait() {
    run(|| {
        circle(3, |next| {
            let joined = sched::deadline(Duration::from_millis(5), || next.join());
            assert!(joined.is_err() || joined.unwrap().is_ok());
        });
        while sched::stats().fibers > 2 {
            sched::yield_now();
        }
    });
}
