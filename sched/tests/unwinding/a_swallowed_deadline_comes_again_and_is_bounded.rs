//! A fiber that catches a deadline gets it again, but not for ever. Each deadline has its own
//! count.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{on_a_shard, run, turns};
use straightline_sched::{self as sched, DeadlineExceeded};

/// A deadline that has expired at the first yield point, or soon after.
const AT_ONCE: Duration = Duration::ZERO;

fn swallows_one() -> bool {
    let payload = catch_unwind(|| sched::sleep(Duration::MAX)).expect_err("the sleep raises");
    sched::is_cancel(&*payload)
}

#[test]
fn each_wait_past_the_deadline_raises_a_few_times() {
    run(|| {
        let result = sched::deadline(AT_ONCE, || {
            assert!((0..3).all(|_| swallows_one()));
            sched::park();
        });
        assert_eq!(result, Err(DeadlineExceeded));
        sched::yield_now(); // the deadline is gone
    });
}

#[test]
fn a_loop_that_ends_on_an_error_ends() {
    run(|| {
        let result = sched::deadline(AT_ONCE, || {
            let mut rounds = 0;
            // Where a wait fails at once, `join` returns an error.
            while let Err(_) | Ok(Ok(())) =
                catch_unwind(|| sched::spawn(sched::park).join().map_err(drop))
            {
                rounds += 1;
            }
            rounds
        });
        assert!((1..100).contains(&result.unwrap()));
    });
}

#[test]
fn a_fiber_that_swallows_it_for_ever_is_abandoned() {
    on_a_shard(|| {
        let swallowed = Rc::new(Cell::new(0));
        let count = Rc::clone(&swallowed);
        let fiber = sched::spawn(move || {
            sched::deadline(AT_ONCE, || {
                loop {
                    if catch_unwind(sched::park).is_err() {
                        count.set(count.get() + 1);
                    }
                }
            })
        });
        assert!(fiber.join().unwrap_err().is_abandoned());
        assert!((1..100).contains(&swallowed.get()));
        assert_eq!(sched::stats().abandoned, 1);
    });
}

#[test]
fn a_fiber_may_swallow_one_of_each_deadline() {
    run(|| {
        for _ in 0..200 {
            sched::deadline(AT_ONCE, || assert!(swallows_one())).unwrap();
        }
        assert_eq!(sched::stats().abandoned, 0);
    });
}

#[test]
fn an_inner_deadline_that_was_swallowed_is_not_the_outer_ones_fault() {
    run(|| {
        let result = sched::deadline(Duration::from_secs(3_600), || {
            for _ in 0..200 {
                sched::deadline(AT_ONCE, || assert!(swallows_one())).unwrap();
            }
            sched::yield_now();
            "in time"
        });
        assert_eq!(result, Ok("in time"));
    });
}

/// A deadline that the fiber catches does not reset its count of cancels.
#[test]
fn a_cancel_that_is_swallowed_between_deadlines_is_bounded() {
    on_a_shard(|| {
        let fiber = sched::spawn(|| {
            loop {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    sched::uncancellable(|| {
                        let _ = sched::deadline(AT_ONCE, sched::park);
                    });
                    sched::park();
                }));
            }
        });
        turns(3);
        fiber.cancel();
        let error = fiber.join().map(|()| "returned").unwrap_err();
        assert!(error.is_abandoned());
        assert_eq!(sched::stats().abandoned, 1);
    });
}
