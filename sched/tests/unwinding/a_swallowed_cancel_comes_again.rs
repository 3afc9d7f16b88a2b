//! A fiber that catches its cancel gets it again at each wait, and is abandoned in the end.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{on_a_shard, turns};
use straightline_sched::{self as sched, Interest, JoinHandle, Source};

#[test]
fn each_wait_of_a_cancelled_fiber_raises() {
    on_a_shard(|| {
        let catches = Rc::new(Cell::new(0));
        let fiber = sched::spawn({
            let catches = Rc::clone(&catches);
            move || {
                for _ in 0..3 {
                    let payload = catch_unwind(sched::park).unwrap_err();
                    assert!(sched::is_cancel(&*payload));
                    assert!(!std::thread::panicking());
                    catches.set(catches.get() + 1);
                }
                let payload = catch_unwind(|| sched::sleep(Duration::MAX)).unwrap_err();
                resume_unwind(payload)
            }
        });
        sched::yield_now();
        fiber.cancel();
        let error = fiber.join().map(|()| "returned").unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(catches.get(), 3);
    });
}

#[test]
fn a_panic_is_not_taken_for_a_cancel() {
    on_a_shard(|| {
        let fiber = sched::spawn(|| {
            let payload = catch_unwind(|| panic!("not a cancel")).unwrap_err();
            assert!(!sched::is_cancel(&*payload));
        });
        fiber.join().unwrap();
    });
}

/// A fiber that waits for ever and swallows every cancel.
fn stubborn(wait: impl Fn() + 'static) -> (JoinHandle<()>, Rc<Cell<u64>>) {
    let catches = Rc::new(Cell::new(0));
    let fiber = sched::spawn({
        let catches = Rc::clone(&catches);
        move || loop {
            if catch_unwind(AssertUnwindSafe(&wait)).is_err() {
                catches.set(catches.get() + 1);
            }
        }
    });
    (fiber, catches)
}

fn is_abandoned(wait: impl Fn() + 'static) {
    let (fiber, catches) = stubborn(wait);
    turns(3);
    fiber.cancel();
    let error = fiber.join().expect_err("the fiber was abandoned");
    assert!(error.is_abandoned());
    assert!((1..1_000).contains(&catches.get()));
    let catches_before = catches.get();
    turns(3);
    assert_eq!(catches.get(), catches_before, "a fiber that was abandoned runs no more");
    assert_eq!(sched::spawn(|| "fine").join().expect("other fibers go on"), "fine");
}

#[test]
fn one_that_swallows_it_while_parking_is_abandoned() {
    on_a_shard(|| is_abandoned(sched::park));
}

#[test]
fn one_that_swallows_it_while_yielding_is_abandoned() {
    on_a_shard(|| is_abandoned(sched::yield_now));
}

#[test]
fn one_that_swallows_it_between_operations_is_abandoned() {
    on_a_shard(|| is_abandoned(sched::checkpoint));
}

#[test]
fn one_that_swallows_it_while_sleeping_is_abandoned() {
    on_a_shard(|| is_abandoned(|| sched::sleep(Duration::from_secs(3_600))));
}

#[test]
fn one_that_swallows_it_while_parked_with_a_timeout_is_abandoned() {
    on_a_shard(|| is_abandoned(|| sched::park_timeout(Duration::from_millis(1))));
}

#[test]
fn one_that_swallows_it_while_joining_is_abandoned() {
    on_a_shard(|| is_abandoned(|| drop(sched::spawn(sched::park).join())));
}

#[test]
fn one_that_swallows_it_while_waiting_for_a_descriptor_is_abandoned() {
    on_a_shard(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let source = Source::new(far);
        is_abandoned(move || drop(source.wait(Interest::Read)));
        drop(near);
    });
}

#[test]
fn the_end_of_run_does_not_wait_for_one_that_parks() {
    on_a_shard(|| {
        drop(stubborn(sched::park));
        sched::yield_now();
    });
}

#[test]
fn the_end_of_run_does_not_wait_for_one_that_sleeps() {
    on_a_shard(|| {
        drop(stubborn(|| sched::sleep(Duration::from_secs(3_600))));
        sched::yield_now();
    });
}

#[test]
fn a_descriptor_that_a_abandoned_fiber_waited_for_serves_others() {
    on_a_shard(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(far));
        let (fiber, _) = stubborn({
            let source = Rc::clone(&source);
            move || drop(source.wait(Interest::Read))
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_abandoned());
        let waiter = sched::spawn(move || source.wait(Interest::Read));
        sched::yield_now();
        drop(near);
        waiter.join().unwrap().unwrap();
    });
}
