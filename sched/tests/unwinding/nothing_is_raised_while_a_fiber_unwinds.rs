//! While a fiber unwinds, no cancel or deadline is raised in it, because that would abort the
//! process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, DeadlineExceeded, deadline};

/// Calls every kind of yield point, in a fiber that has several reasons to unwind.
fn yield_points() {
    assert!(std::thread::panicking());
    sched::park();
    sched::yield_now();
    sched::sleep(Duration::from_secs(3_600));
    sched::park_timeout(Duration::MAX);
    (0..300).for_each(|_| sched::checkpoint());
    let inner = deadline(Duration::ZERO, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1) {}
        sched::park();
        "not raised"
    });
    assert_eq!(inner, Ok("not raised"));
    sched::uncancellable(sched::park);
    assert!(sched::spawn(sched::park).join().is_err());
}

#[test]
fn a_cancelled_fiber_that_panics() {
    run(|| {
        let own = Rc::new(Cell::new(None::<sched::JoinHandle<()>>));
        let in_fiber = Rc::clone(&own);
        let fiber = sched::spawn(move || {
            let _guard = OnDrop(yield_points);
            let handle = in_fiber.take().unwrap();
            handle.cancel();
            in_fiber.set(Some(handle));
            panic!("broken");
        });
        own.set(Some(fiber));
        turns(2);
        assert!(own.take().unwrap().join().unwrap_err().is_panic());
    });
}

#[test]
fn a_fiber_that_is_cancelled_past_its_deadline() {
    run(|| {
        let fiber = sched::spawn(|| {
            deadline(Duration::ZERO, || {
                let _guard = OnDrop(yield_points);
                sched::uncancellable(|| sched::sleep(Duration::from_millis(2)));
                sched::park();
            })
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_fiber_past_its_deadline_that_panics() {
    run(|| {
        let caught = catch_unwind(|| {
            deadline(Duration::ZERO, || {
                let _guard = OnDrop(yield_points);
                assert!(catch_unwind(|| sched::sleep(Duration::MAX)).is_err());
                panic!("broken");
            })
        });
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"broken"));
    });
}

#[test]
fn what_the_destructors_left_is_raised_after_the_unwind() {
    run(|| {
        let outer = deadline(Duration::from_millis(2), || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _guard = OnDrop(|| {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_millis(4) {}
                    yield_points();
                });
                panic!("broken");
            }));
            assert!(caught.is_err());
            sched::park();
        });
        assert_eq!(outer, Err(DeadlineExceeded));
    });
}
