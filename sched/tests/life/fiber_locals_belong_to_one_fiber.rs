//! A fiber-local has one value for each fiber, made at its first use and dropped at its end.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow::{Break, Continue};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, fiber_local};

fiber_local! {
    static NUMBER: Cell<u32> = Cell::new(7);
    static inherited TRACE: RefCell<String> = RefCell::new("root".into());
    static HELD: RefCell<Option<Rc<Cell<u32>>>> = RefCell::new(None);
}

#[test]
fn each_fiber_has_its_own_value() {
    run(|| {
        NUMBER.with(|number| number.set(1));
        let fibers: Vec<_> = (0..10)
            .map(|own| {
                sched::spawn(move || {
                    assert_eq!(NUMBER.with(Cell::get), 7);
                    NUMBER.with(|number| number.set(own));
                    turns(3);
                    NUMBER.with(Cell::get) == own
                })
            })
            .collect();
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap()));
        assert_eq!(NUMBER.with(Cell::get), 1);
    });
}

#[test]
fn an_inherited_value_is_a_clone_of_the_spawners_at_that_time() {
    run(|| {
        TRACE.with(|trace| trace.replace("parent".into()));
        let trace = || TRACE.with(|trace| trace.borrow().clone());
        let children = [
            sched::spawn(move || {
                TRACE.with(|trace| trace.borrow_mut().push_str(" and child"));
                sched::spawn(trace).join().unwrap()
            }),
            sched::spawn(trace),
        ];
        TRACE.with(|trace| trace.replace("changed".into()));
        assert_eq!(sched::scope(|s| s.spawn(trace).join().unwrap()), "changed");
        assert_eq!(
            children.map(|child| child.join().unwrap()),
            ["parent and child".to_string(), "parent".into()]
        );
    });
}

#[test]
fn a_value_that_was_not_used_is_made_afresh() {
    run(|| {
        let child = sched::spawn(|| TRACE.with(|trace| trace.borrow().clone()));
        assert_eq!(child.join().unwrap(), "root");
    });
}

#[test]
fn the_values_of_an_episodic_fiber_last_from_one_activation_to_the_next() {
    run(|| {
        NUMBER.with(|number| number.set(0));
        TRACE.with(|trace| trace.replace("activations".into()));
        let mut activations = 0;
        let fiber = sched::spawn_stackless(move || {
            assert_eq!(NUMBER.with(Cell::get), 7 + activations);
            assert_eq!(TRACE.with(|trace| trace.borrow().clone()), "activations");
            activations += 1;
            NUMBER.with(|number| number.set(7 + activations));
            sched::wake_later();
            if activations < 3 { Continue(()) } else { Break(()) }
        });
        fiber.join().unwrap();
    });
}

#[test]
fn they_are_dropped_however_the_fiber_ends() {
    run(|| {
        let dropped_with = |end: fn()| {
            let held = Rc::new(Cell::new(0));
            let in_fiber = Rc::clone(&held);
            let fiber = sched::spawn(move || {
                HELD.with(|value| value.replace(Some(in_fiber)));
                sched::yield_now();
                end();
            });
            turns(2);
            fiber.cancel();
            let _ = fiber.join();
            Rc::strong_count(&held) == 1
        };
        assert!(dropped_with(|| ()));
        assert!(dropped_with(sched::park));
        assert!(dropped_with(|| panic!("broken")));
    });
}

#[test]
fn those_of_the_last_piece_of_work_stay_until_the_fiber_ends() {
    run(|| {
        // Without and with values of the fiber around the pieces.
        for has_outer in [false, true] {
            let held = Rc::new(Cell::new(0));
            let in_fiber = Rc::clone(&held);
            let fiber = sched::spawn(move || {
                if has_outer {
                    NUMBER.with(|number| number.set(1));
                    PANICS.with(|_| ()); // its drop does not keep the work's value from the caller
                }
                for (number, is_last) in [(2, false), (3, true)] {
                    let own = Rc::clone(&in_fiber);
                    let work = || {
                        assert_eq!(NUMBER.with(|own| own.replace(number)), 7);
                        HELD.with(|value| value.replace(Some(own)));
                        number
                    };
                    let done = sched::with_own_locals_or_end(work, |_| is_last);
                    assert_eq!(done, number);
                    // This test, the fiber's closure, and the value if it has stayed.
                    assert_eq!(Rc::strong_count(&in_fiber), if is_last { 3 } else { 2 });
                }
                NUMBER.with(Cell::get)
            });
            assert_eq!(fiber.join().unwrap(), 3);
            assert_eq!(Rc::strong_count(&held), 1);
        }
    });
}

/// Records that its destructor has run on a fiber, where it could wait.
struct Waits;

thread_local! {
    static WAITED: Cell<u32> = const { Cell::new(0) };
}

impl Drop for Waits {
    fn drop(&mut self) {
        sched::sleep(Duration::from_millis(1));
        assert_eq!(NUMBER.with(Cell::get), 7, "other fiber-locals can be used");
        WAITED.set(WAITED.get() + 1);
    }
}

fiber_local! {
    static WAITS: Waits = Waits;
    static PANICS: OnDrop<fn()> = OnDrop(|| panic!("a destructor of a fiber-local"));
}

#[test]
fn their_destructors_may_wait_and_panic() {
    run(|| {
        let fiber = sched::spawn(|| {
            PANICS.with(|_| ());
            WAITS.with(|_| ());
            PANICS.with(|_| ());
        });
        fiber.join().unwrap();
        assert_eq!(WAITED.get(), 1);
    });
}

/// A logger that logs its own end.
struct Logger(Rc<()>);

impl Drop for Logger {
    fn drop(&mut self) {
        LOGGER.with(|logger| assert_eq!(Rc::strong_count(&logger.0), 1));
    }
}

fiber_local! {
    static LOGGER: Logger = Logger(Rc::new(()));
}

#[test]
fn a_value_that_uses_itself_at_its_end_does_no_harm() {
    run(|| {
        let detached = sched::spawn(|| LOGGER.with(|_| ()));
        turns(2);
        drop(detached);
        for _ in 0..3 {
            drop(sched::spawn(|| LOGGER.with(|_| ())));
            sched::spawn(|| LOGGER.with(|_| ())).join().unwrap();
        }
    });
}

#[test]
fn the_initial_value_may_wait_and_use_others() {
    fiber_local! {
        static DERIVED: u32 = { sched::yield_now(); NUMBER.with(Cell::get) * 2 };
    }
    run(|| {
        let fibers = [(); 3].map(|()| sched::spawn(|| DERIVED.with(|value| *value)));
        assert_eq!(fibers.map(|fiber| fiber.join().unwrap()), [14; 3]);
    });
}

#[test]
#[should_panic(expected = "outside of a fiber")]
fn there_are_none_outside_of_a_fiber() {
    NUMBER.with(Cell::get);
}
