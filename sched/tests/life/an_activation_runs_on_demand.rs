//! An episodic fiber runs once for each wake-up, keeps its state in between, and ends like any
//! other fiber.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow::{Break, Continue};
use std::rc::Rc;
use std::time::Duration;

use straightline_sched::{self as sched, JoinHandle};

/// A fiber that counts its activations and rests after each one.
fn counting() -> (JoinHandle<()>, Rc<Cell<u32>>) {
    let activations = Rc::new(Cell::new(0));
    let fiber = sched::spawn_stackless({
        let activations = Rc::clone(&activations);
        move || {
            activations.set(activations.get() + 1);
            Continue(())
        }
    });
    (fiber, activations)
}

#[test]
fn the_first_activation_needs_no_wakeup_and_each_other_needs_one() {
    sched::run(|| {
        let (fiber, activations) = counting();
        assert_eq!(activations.get(), 0);
        for expected in 1..10 {
            (0..3).for_each(|_| sched::yield_now());
            assert_eq!(activations.get(), expected);
            fiber.fiber().unpark();
            fiber.fiber().unpark(); // two wake-ups before the activation are one
        }
        assert!(!fiber.is_finished());
    });
}

#[test]
fn what_the_closure_holds_lasts_until_the_end() {
    sched::run(|| {
        let held = Rc::new(RefCell::new(Vec::new()));
        let fiber = sched::spawn_stackless({
            let (held, mut number) = (Rc::clone(&held), 0);
            move || {
                number += 1;
                held.borrow_mut().push(number);
                sched::wake_later();
                if number < 5 { Continue(()) } else { Break(()) }
            }
        });
        fiber.join().unwrap();
        assert_eq!(*held.borrow(), [1, 2, 3, 4, 5]);
        sched::yield_now();
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!(held.borrow().len(), 5, "nothing runs after the end");
    });
}

#[test]
fn an_activation_may_block() {
    sched::run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let fiber = sched::spawn_stackless({
            let (log, mut number) = (Rc::clone(&log), 0);
            move || {
                number += 1;
                log.borrow_mut().push(("begins", number));
                sched::yield_now();
                sched::sleep(Duration::from_millis(1));
                assert_eq!(sched::spawn(|| 5).join().unwrap(), 5);
                log.borrow_mut().push(("ends", number));
                sched::wake_later();
                if number < 2 { Continue(()) } else { Break(()) }
            }
        });
        fiber.join().unwrap();
        assert_eq!(*log.borrow(), [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]);
    });
}

#[test]
fn a_wakeup_during_an_activation_is_for_the_next() {
    sched::run(|| {
        let (fiber, activations) = counting();
        sched::current().unpark();
        let other = sched::spawn_stackless({
            let fiber = fiber.fiber();
            move || {
                fiber.unpark();
                Break(())
            }
        });
        other.join().unwrap();
        (0..3).for_each(|_| sched::yield_now());
        assert_eq!(activations.get(), 2);
    });
}

#[test]
fn a_panic_in_an_activation_is_the_joiners_error() {
    sched::run(|| {
        let mut number = 0;
        let fiber = sched::spawn_stackless(move || {
            number += 1;
            assert!(number < 3, "three");
            sched::wake_later();
            Continue(())
        });
        let error = fiber.join().unwrap_err();
        assert_eq!(error.to_string(), "the fiber panicked: three");
    });
}

#[test]
fn a_fiber_cancelled_before_its_first_activation_never_has_one() {
    sched::run(|| {
        let (fiber, activations) = counting();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(activations.get(), 0);
    });
}

#[test]
fn a_fiber_cancelled_within_an_activation_unwinds() {
    sched::run(|| {
        let held = Rc::new(());
        let fiber = sched::spawn_stackless({
            let held = Rc::clone(&held);
            move || {
                let _used = Rc::clone(&held);
                sched::park();
                Continue(())
            }
        });
        sched::yield_now();
        assert_eq!(Rc::strong_count(&held), 3);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(Rc::strong_count(&held), 1);
    });
}

#[test]
fn a_resting_fiber_that_is_cancelled_drops_its_closure_on_a_fiber() {
    struct Asks(Rc<Cell<bool>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            drop(sched::current()); // panics outside of a fiber
            self.0.set(true);
        }
    }
    sched::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let asks = Asks(Rc::clone(&dropped));
        let fiber = sched::spawn_stackless(move || {
            let _ = &asks;
            Continue(())
        });
        sched::yield_now();
        fiber.cancel();
        assert!(!dropped.get());
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(dropped.get());
    });
}

#[test]
fn the_destructors_of_a_resting_fiber_may_block() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            sched::yield_now();
            sched::sleep(Duration::from_secs(3_600));
        }
    }
    sched::run(|| {
        let dropped_together = (Waits, Waits);
        drop(sched::spawn_stackless(move || {
            let _ = &dropped_together;
            Continue(())
        }));
        sched::yield_now();
    });
}

#[test]
fn an_activation_that_unwinds_leaves_nothing_to_the_next_on_its_stack() {
    sched::run(|| {
        let (other, activations) = counting();
        for number in 1..10 {
            let unwinds = sched::spawn_stackless(move || {
                sched::yield_now();
                if number % 2 == 0 {
                    std::panic::resume_unwind(Box::new(number));
                }
                sched::park();
                Break(())
            });
            (0..3).for_each(|_| sched::yield_now());
            unwinds.cancel();
            assert!(unwinds.join().is_err());
            other.fiber().unpark();
            sched::yield_now();
            assert_eq!(activations.get(), 1 + number);
        }
    });
}
