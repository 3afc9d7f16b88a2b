//! A blocking call in a destructor returns at once while its fiber unwinds, and never aborts.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use crate::common::OnDrop;
use straightline_sched::{self as sched, Interest, Source};

/// Checks that no other fiber runs between the begin and the end of `call` in a destructor.
fn returns_at_once(call: impl Fn() + Clone + 'static) {
    for end in [sched::park, || panic!("broken")] {
        let log = Rc::new(RefCell::new(Vec::new()));
        let fiber = sched::spawn({
            let (log, call) = (Rc::clone(&log), call.clone());
            move || {
                let _guard = OnDrop(move || {
                    log.borrow_mut().push("begins");
                    call();
                    log.borrow_mut().push("ends");
                });
                sched::yield_now();
                end();
            }
        });
        sched::yield_now();
        sched::yield_now();
        fiber.cancel(); // the fiber that waits
        sched::spawn({
            let log = Rc::clone(&log);
            move || log.borrow_mut().push("another fiber")
        });
        assert!(fiber.join().is_err());
        sched::yield_now();
        assert_eq!(*log.borrow(), ["begins", "ends", "another fiber"]);
    }
}

#[test]
fn a_sleep_in_a_destructor_returns_at_once() {
    sched::run(|| returns_at_once(|| sched::sleep(Duration::from_secs(3_600))));
}

#[test]
fn a_yield_in_a_destructor_returns_at_once() {
    sched::run(|| returns_at_once(sched::yield_now));
}

#[test]
fn a_park_in_a_destructor_returns_at_once() {
    sched::run(|| returns_at_once(sched::park));
    sched::run(|| returns_at_once(|| sched::park_timeout(Duration::MAX)));
}

#[test]
fn checkpoints_in_a_destructor_return_at_once() {
    sched::run(|| returns_at_once(|| (0..10_000).for_each(|_| sched::checkpoint())));
}

#[test]
fn a_join_in_a_destructor_is_an_error_at_once() {
    sched::run(|| {
        returns_at_once(|| {
            let error = sched::spawn(sched::park).join().expect_err("a destructor may not wait");
            assert!(!error.is_panic());
            assert!(!error.is_cancelled());
            assert!(error.into_panic().is_err());
        });
    });
}

#[test]
fn a_join_of_a_finished_fiber_in_a_destructor_has_the_value() {
    sched::run(|| {
        let finished = Rc::new(Cell::new(Some(sched::spawn(|| 5))));
        let value = Rc::new(Cell::new(0));
        let fiber = sched::spawn({
            let value = Rc::clone(&value);
            move || {
                let _guard = OnDrop(move || {
                    let finished = finished.take().expect("dropped once");
                    value.set(finished.join().expect("the fiber has already ended"));
                });
                panic!("broken");
            }
        });
        assert!(fiber.join().unwrap_err().is_panic());
        assert_eq!(value.get(), 5);
    });
}

#[test]
fn a_wait_for_a_descriptor_in_a_destructor_is_an_error_at_once() {
    sched::run(|| {
        let (_near, far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(far));
        returns_at_once(move || assert!(source.wait(Interest::Read).is_err()));
    });
}

#[test]
fn a_fiber_spawned_by_a_destructor_runs_as_any_other() {
    sched::run(|| {
        let slept = Rc::new(Cell::new(false));
        let fiber = sched::spawn({
            let slept = Rc::clone(&slept);
            move || {
                let _guard = OnDrop(move || {
                    let slept = Rc::clone(&slept);
                    sched::spawn(move || {
                        assert!(!std::thread::panicking());
                        sched::sleep(Duration::from_millis(1));
                        slept.set(true);
                    });
                });
                panic!("broken");
            }
        });
        assert!(fiber.join().unwrap_err().is_panic());
        while !slept.get() {
            sched::yield_now();
        }
    });
}

#[test]
fn a_destructor_may_catch_a_panic_of_its_own() {
    sched::run(|| {
        returns_at_once(|| {
            let caught = std::panic::catch_unwind(|| panic!("in the destructor"));
            assert!(caught.is_err());
            sched::sleep(Duration::from_secs(3_600));
        });
    });
}

#[test]
fn the_destructors_of_the_last_fibers_do_not_wait_either() {
    let drops = sched::run_with(sched::Config::default(), || {
        let drops = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let drops = Rc::clone(&drops);
            sched::spawn(move || {
                let _guard = OnDrop(move || {
                    sched::sleep(Duration::from_secs(3_600));
                    assert!(sched::spawn(sched::park).join().is_err());
                    drops.set(drops.get() + 1);
                });
                sched::park();
            });
        }
        sched::yield_now();
        drops
    });
    assert_eq!(drops.unwrap().get(), 10);
}
