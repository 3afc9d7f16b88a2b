//! Deadlines nest. The nearest deadline counts, the call that set it catches it, and children
//! inherit it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, DeadlineExceeded, deadline};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3_600);

fn wait_for_ever() {
    loop {
        sched::park();
    }
}

#[test]
fn the_inner_one_if_it_comes_first() {
    run(|| {
        let outer = deadline(LATE, || {
            assert_eq!(deadline(SOON, wait_for_ever), Err(DeadlineExceeded));
            sched::yield_now(); // the outer deadline has not expired
            "outer"
        });
        assert_eq!(outer, Ok("outer"));
        assert_eq!(sched::remaining(), None);
    });
}

#[test]
fn the_outer_one_if_it_comes_first() {
    run(|| {
        let inner_returned = Cell::new(false);
        let outer = deadline(SOON, || {
            let _ = deadline(LATE, || deadline(Duration::MAX, wait_for_ever));
            inner_returned.set(true);
        });
        assert_eq!(outer, Err(DeadlineExceeded));
        assert!(!inner_returned.get(), "an inner call caught the outer deadline");
        assert_eq!(sched::stats().deadlines_exceeded, 1);
    });
}

#[test]
fn both_one_after_the_other() {
    run(|| {
        let outer = deadline(SOON, || {
            let inner = deadline(Duration::ZERO, || {
                // Waits until the outer deadline has expired too.
                assert!(catch_unwind(wait_for_ever).is_err());
                let start = Instant::now();
                while start.elapsed() < SOON * 2 {}
                wait_for_ever();
            });
            assert_eq!(inner, Err(DeadlineExceeded));
            wait_for_ever();
        });
        assert_eq!(outer, Err(DeadlineExceeded));
    });
}

#[test]
fn a_deadline_caught_by_its_own_call() {
    run(|| {
        let dropped = Cell::new(false);
        let result = deadline(LATE, || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                deadline(SOON, || {
                    let _guard = OnDrop(|| dropped.set(true));
                    wait_for_ever();
                })
            }));
            caught.expect("the deadline does not pass the call that set it")
        });
        assert_eq!(result, Ok(Err(DeadlineExceeded)));
        assert!(dropped.get());
    });
}

#[test]
fn a_late_value_is_still_returned() {
    run(|| {
        let value = deadline(Duration::ZERO, || {
            let start = Instant::now();
            while start.elapsed() < SOON {}
            "late"
        });
        assert_eq!(value, Ok("late"));
        // The deadline ends with the call.
        turns(20);
        sched::sleep(SOON);
        assert_eq!(sched::stats().deadlines_exceeded, 0);
    });
}

#[test]
fn a_late_value_is_returned_also_where_the_unwind_was_swallowed() {
    run(|| {
        let value = deadline(Duration::ZERO, || catch_unwind(wait_for_ever).is_err());
        assert_eq!(value, Ok(true));
        sched::sleep(SOON);
    });
}

#[test]
fn a_panic_passes_through() {
    run(|| {
        let caught = catch_unwind(|| deadline(LATE, || panic!("broken"))).unwrap_err();
        assert_eq!(caught.downcast_ref(), Some(&"broken"));
        assert_eq!(sched::remaining(), None);
    });
}

#[test]
fn a_child_inherits_the_smaller_deadline() {
    run(|| {
        let outcome = deadline(LATE, || {
            sched::scope(|s| {
                let early = deadline(SOON, || s.spawn(wait_for_ever)).unwrap();
                let own = s.spawn(|| deadline(SOON, wait_for_ever));
                let left = s.spawn(sched::remaining);
                let nested = s.spawn(|| {
                    deadline(SOON, || sched::scope(|s| s.spawn(wait_for_ever).join().unwrap_err()))
                });
                assert!(early.join().unwrap_err().is_deadline_exceeded());
                assert_eq!(own.join().unwrap(), Err(DeadlineExceeded));
                assert!(left.join().unwrap().unwrap() > LATE / 2);
                // Its scope unwinds at the same time as its child.
                assert!(nested.join().unwrap().is_err());
            });
        });
        assert_eq!(outcome, Ok(()));
    });
}

#[test]
fn a_child_cannot_extend_what_it_inherited() {
    run(|| {
        let child_returned = Cell::new(false);
        let outcome = deadline(SOON, || {
            sched::scope(|s| {
                s.spawn(|| {
                    let _ = deadline(LATE, wait_for_ever);
                    child_returned.set(true);
                });
            });
        });
        assert_eq!(outcome, Err(DeadlineExceeded));
        assert!(!child_returned.get());
    });
}

#[test]
fn spawn_does_not_inherit_a_deadline() {
    run(|| {
        let fiber = deadline(Duration::ZERO, || {
            sched::spawn(|| {
                assert_eq!(sched::remaining(), None);
                sched::sleep(SOON);
                "slept"
            })
        });
        assert_eq!(fiber.unwrap().join().unwrap(), "slept");
    });
}

#[test]
fn a_cancel_passes_through_a_deadline() {
    run(|| {
        let fiber = sched::spawn(|| deadline(LATE, wait_for_ever).is_err());
        turns(2);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn it_ends_every_kind_of_wait() {
    run(|| {
        assert!(deadline(SOON, sched::park).is_err());
        assert!(deadline(SOON, || sched::sleep(LATE)).is_err());
        assert!(deadline(SOON, || sched::park_timeout(LATE)).is_err());
        assert!(deadline(SOON, || over_and_over(sched::yield_now)).is_err());
        assert!(deadline(SOON, || over_and_over(sched::checkpoint)).is_err());
        assert!(deadline(SOON, || sched::spawn(wait_for_ever).join().map(drop)).is_err());
        assert!(deadline(SOON, || sched::scope(|s| drop(s.spawn(wait_for_ever)))).is_err());
    });
}

#[test]
fn a_wait_that_it_ended_leaves_the_next_ones_their_time() {
    run(|| {
        for _ in 0..3 {
            assert!(deadline(SOON, || sched::sleep(LATE)).is_err());
            let (start, time) = (Instant::now(), Duration::from_millis(5));
            sched::sleep(time);
            assert!(start.elapsed() >= time);
        }
    });
}

#[test]
fn the_time_that_remains_is_the_nearest_ones() {
    run(|| {
        deadline(LATE, || {
            let outer = sched::remaining().unwrap();
            assert!(outer <= LATE && outer > LATE / 2);
            deadline(LATE / 4, || assert!(sched::remaining().unwrap() <= LATE / 4)).unwrap();
            assert!(sched::remaining().unwrap() > LATE / 2);
            deadline(Duration::ZERO, || assert_eq!(sched::remaining(), Some(Duration::ZERO)))
                .unwrap();
        })
        .unwrap();
    });
}

fn over_and_over(call: impl Fn()) {
    loop {
        call();
    }
}
