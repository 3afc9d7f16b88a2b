//! A scope ends after all fibers that may use what they borrowed from it, whatever goes wrong
//! meanwhile.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, run, swallow_for_ever, turns};
use straightline_sched::{self as sched, fiber_local};

/// Waits for a while, and cannot be cancelled.
fn a_while() {
    sched::uncancellable(|| sched::sleep(Duration::from_millis(5)));
}

#[test]
fn what_was_lent_is_still_there_when_a_cancelled_fiber_unwinds() {
    run(|| {
        let drops = RefCell::new(Vec::new());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            sched::scope(|s| {
                for number in 0..3 {
                    let drops = &drops;
                    s.spawn(move || {
                        let _note = OnDrop(|| drops.borrow_mut().push(number));
                        a_while();
                        sched::park();
                    });
                }
                turns(1);
                panic!("the body broke");
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the body broke"));
        drops.borrow_mut().sort_unstable();
        assert_eq!(drops.take(), [0, 1, 2]);
    });
}

#[test]
fn a_hook_that_panics_before_the_last_wait_does_not_end_the_scope() {
    run(|| {
        let over = Cell::new(false);
        let hook = Cell::new(None);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            sched::scope(|s| {
                s.spawn(|| {
                    let _over = OnDrop(|| over.set(true));
                    a_while();
                });
                turns(1);
                hook.set(Some(sched::before_park(Rc::new(|| panic!("the hook broke")))));
                panic!("the body broke");
            })
        }));
        assert!(over.get(), "the scope ended before its fiber");
        assert!(caught.is_err());
    });
}

#[test]
fn the_fibers_of_fibers_that_were_abandoned_unwind_all_the_same() {
    on_a_shard(|| {
        let over = Rc::new(Cell::new(0));
        let note = Rc::clone(&over);
        let parent = sched::spawn(move || {
            sched::scope(|s| {
                s.spawn(|| swallow_in_scopes(3, &note));
                turns(6);
                s.cancel();
            });
            unreachable!("any of them might have borrowed what was lent to the first one");
        });
        assert!(parent.join().map(|()| "returned").unwrap_err().is_abandoned());
        while sched::stats().fibers > 1 {
            sched::yield_now();
        }
        assert_eq!((over.get(), sched::stats().abandoned), (3, 4));
    });
}

/// Nests scopes, `depth` of them: the fiber of each scope opens the next one. All fibers swallow
/// every cancel.
fn swallow_in_scopes(depth: u32, over: &Rc<Cell<u32>>) {
    if depth == 0 {
        return;
    }
    sched::scope(|s| {
        s.spawn(|| swallow_in_scopes(depth - 1, over));
        let held = Rc::clone(over);
        s.spawn(move || {
            let _over = OnDrop(|| held.set(held.get() + 1));
            a_while();
        });
        swallow_for_ever();
    });
}

/// An inherited fiber-local. Its clone for a new fiber panics.
struct NotForChildren;

impl Clone for NotForChildren {
    fn clone(&self) -> Self {
        panic!("not for children");
    }
}

fiber_local! {
    static inherited SECRET: NotForChildren = NotForChildren;
}

#[test]
fn a_fiber_that_could_not_be_started_is_not_left_behind() {
    run(|| {
        let before = sched::stats();
        SECRET.with(|_| ());
        let drops = Cell::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            sched::scope(|s| {
                let borrows = OnDrop(|| drops.set(drops.get() + 1));
                s.spawn(move || drop(borrows));
            });
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"not for children"));
        assert_eq!(drops.get(), 1, "the closure outlived what it borrows");
        assert_eq!(sched::stats().fibers, before.fibers);
    });
}
