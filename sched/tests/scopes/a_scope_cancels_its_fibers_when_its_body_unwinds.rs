//! If the body of a scope unwinds for any reason, the scope cancels its fibers, and they have ended
//! before the unwind goes on.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, DeadlineExceeded, scope};

/// Runs a scope of fibers that wait for ever. The body of the scope ends with `end`. `ended` counts
/// the fibers that have ended.
fn scope_of_waiters(ended: &Cell<u32>, end: impl FnOnce()) {
    scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                let _ended = OnDrop(|| ended.set(ended.get() + 1));
                sched::park();
                unreachable!("the fiber is not unparked");
            });
        }
        s.spawn(|| {
            let _ended = OnDrop(|| ended.set(ended.get() + 1));
            // The unwind takes several turns.
            sched::uncancellable(|| sched::sleep(Duration::from_millis(3)));
            sched::sleep(Duration::MAX);
        });
        turns(2);
        end();
    });
}

#[test]
fn when_it_panics() {
    run(|| {
        let ended = Cell::new(0);
        let scope = || scope_of_waiters(&ended, || panic!("broken"));
        let payload = catch_unwind(AssertUnwindSafe(scope)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"broken"));
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn when_it_is_cancelled() {
    run(|| {
        for end in [sched::park, || ()] {
            let ended = Rc::new(Cell::new(0));
            let in_fiber = Rc::clone(&ended);
            let fiber = sched::spawn(move || scope_of_waiters(&in_fiber, end));
            turns(5);
            assert!(!fiber.is_finished());
            fiber.cancel();
            assert!(fiber.join().unwrap_err().is_cancelled());
            assert_eq!(ended.get(), 3);
        }
    });
}

#[test]
fn when_it_passes_its_deadline() {
    run(|| {
        for end in [sched::park, || ()] {
            let ended = Cell::new(0);
            let scope = || scope_of_waiters(&ended, end);
            let result = sched::deadline(Duration::from_millis(2), scope);
            assert_eq!((result, ended.get()), (Err(DeadlineExceeded), 3));
        }
    });
}

#[test]
fn but_not_when_a_part_of_it_passes_a_deadline() {
    run(|| {
        let ended = Cell::new(0);
        let scope = || {
            scope_of_waiters(&ended, || {
                let part = sched::deadline(Duration::from_millis(2), sched::park);
                assert_eq!((part, ended.get()), (Err(DeadlineExceeded), 0));
                panic!("the fibers were alive");
            });
        };
        let payload = catch_unwind(AssertUnwindSafe(scope)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the fibers were alive"));
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn when_it_swallowed_its_cancel() {
    run(|| {
        let ended = Rc::new(Cell::new(0));
        let in_fiber = Rc::clone(&ended);
        let fiber = sched::spawn(move || {
            scope_of_waiters(&in_fiber, || (0..10).for_each(|_| drop(catch_unwind(sched::park))));
        });
        turns(5);
        fiber.cancel();
        let _ = fiber.join();
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn a_cancel_reaches_down_through_all_scopes() {
    fn nested(depth: u32, alive: &Rc<()>) {
        let _held = Rc::clone(alive);
        scope(|s| {
            if depth == 0 {
                sched::park();
            } else {
                s.spawn(|| nested(depth - 1, alive));
                s.spawn(|| nested(depth - 1, alive));
                sched::park();
            }
        });
    }
    run(|| {
        let alive = Rc::new(());
        let in_fiber = Rc::clone(&alive);
        let fiber = sched::spawn(move || nested(4, &in_fiber));
        turns(10);
        assert_eq!(Rc::strong_count(&alive), 2 + 31);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}
