//! An uncancellable section runs to its end. A cancel, or a deadline around the section, is raised
//! afterwards.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{run, turns};
use straightline_sched::{self as sched, DeadlineExceeded, deadline, uncancellable};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3_600);

/// Waits in several ways. Outside of a section each of them would raise the cancel.
fn commit() -> &'static str {
    turns(3);
    sched::sleep(SOON * 2);
    sched::spawn(|| sched::sleep(SOON)).join().expect("the fiber returns");
    "committed"
}

#[test]
fn a_cancel_comes_at_the_first_wait_after_the_section() {
    run(|| {
        let committed = Rc::new(Cell::new(None));
        let note = Rc::clone(&committed);
        let fiber = sched::spawn(move || {
            note.set(Some(uncancellable(commit)));
            sched::yield_now();
            unreachable!("cancelled");
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().map(|()| "returned").unwrap_err().is_cancelled());
        assert_eq!(committed.get(), Some("committed"));
    });
}

#[test]
fn what_it_returns_is_not_lost_if_nothing_waits_afterwards() {
    run(|| {
        let fiber = sched::spawn(|| uncancellable(commit));
        sched::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), "committed");
    });
}

#[test]
fn a_deadline_around_it_comes_at_the_first_wait_after_the_section() {
    run(|| {
        let committed = Cell::new(None);
        let result = deadline(Duration::ZERO, || {
            committed.set(Some(uncancellable(commit)));
            sched::yield_now();
            unreachable!("past the deadline");
        });
        assert_eq!(result.map(|()| "returned"), Err(DeadlineExceeded));
        assert_eq!(committed.get(), Some("committed"));
    });
}

/// Inside of the section the alarm of the deadline fired, or was not set.
#[test]
fn a_deadline_that_comes_after_the_section_still_ends_a_wait() {
    run(|| {
        for section in [Duration::ZERO, SOON, SOON * 4] {
            let result = deadline(SOON * 2, || {
                uncancellable(|| sched::sleep(section));
                sched::sleep(LATE);
            });
            assert_eq!(result, Err(DeadlineExceeded));
        }
    });
}

#[test]
fn a_deadline_inside_holds() {
    run(|| {
        let fiber = sched::spawn(|| {
            deadline(Duration::ZERO, || {
                uncancellable(|| {
                    turns(2); // is cancelled meanwhile
                    let inner = deadline(SOON, || sched::sleep(LATE));
                    assert_eq!(inner, Err(DeadlineExceeded));
                    assert_eq!(sched::remaining(), None);
                    commit()
                })
            })
        });
        sched::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), Ok("committed"));
    });
}

#[test]
fn sections_nest() {
    run(|| {
        let fiber = sched::spawn(|| {
            uncancellable(|| {
                turns(2);
                uncancellable(commit);
                commit() // still in the outer one
            })
        });
        sched::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), "committed");
    });
}

#[test]
fn a_section_that_panics_is_over() {
    run(|| {
        let fiber = sched::spawn(|| {
            let caught = catch_unwind(|| uncancellable(|| panic!("broken")));
            assert!(!sched::is_cancel(&*caught.unwrap_err()));
            sched::park();
        });
        turns(2);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_scope_inside_is_not_cancelled_from_outside() {
    run(|| {
        let fiber = sched::spawn(|| {
            uncancellable(|| {
                sched::scope(|s| {
                    let parts = [s.spawn(commit), s.spawn(commit)];
                    parts.map(|part| part.join().unwrap())
                })
            })
        });
        turns(2);
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), ["committed"; 2]);
    });
}

#[test]
fn a_cancel_during_the_section_unwinds_a_scope_around_it() {
    run(|| {
        let log = Rc::new(Cell::new(""));
        let note = Rc::clone(&log);
        let fiber = sched::spawn(move || {
            sched::scope(|s| {
                s.spawn(|| note.set(uncancellable(commit)));
                sched::park();
            });
        });
        turns(2);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(log.get(), "committed", "the scope waited for its fiber's section");
    });
}

#[test]
fn a_section_in_a_destructor_does_not_wait_either() {
    run(|| {
        let fiber = sched::spawn(|| {
            let _guard = crate::common::OnDrop(|| uncancellable(|| sched::sleep(LATE)));
            sched::park();
        });
        turns(2);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        let caught = catch_unwind(AssertUnwindSafe(|| uncancellable(sched::yield_now)));
        assert!(caught.is_ok());
    });
}
