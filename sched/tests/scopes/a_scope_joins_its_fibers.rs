//! A scope returns when its fibers have ended. So its fibers may borrow from the function that
//! opens it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, FiberBuilder, scope};

#[test]
fn it_returns_what_its_body_returns_when_all_have_ended() {
    run(|| {
        let ended = Cell::new(0);
        let value = scope(|s| {
            for number in 0..10 {
                let ended = &ended;
                s.spawn(move || {
                    let _ended = OnDrop(|| ended.set(ended.get() + 1));
                    turns(number);
                    sched::sleep(Duration::from_millis(number.into()));
                });
            }
            "value"
        });
        assert_eq!((value, ended.get()), ("value", 10));
    });
}

#[test]
fn a_scope_without_fibers_is_no_yield_point() {
    run(|| {
        let ran = std::rc::Rc::new(Cell::new(false));
        let other = std::rc::Rc::clone(&ran);
        drop(sched::spawn(move || other.set(true)));
        assert_eq!(scope(|_| 5), 5);
        assert!(!ran.get());
    });
}

#[test]
fn its_fibers_borrow_and_change_what_is_around() {
    run(|| {
        let (text, mut length, mut words) = (String::from("not a clone"), 0, Vec::new());
        let shared = RefCell::new(Vec::new());
        scope(|s| {
            s.spawn(|| length = text.len());
            s.spawn(|| {
                turns(2);
                words = text.split(' ').collect();
            });
            s.spawn(|| shared.borrow_mut().push(text.as_str()));
            s.spawn(|| shared.borrow_mut().push("!"));
        });
        assert_eq!((length, words), (11, vec!["not", "a", "clone"]));
        assert_eq!(shared.take(), ["not a clone", "!"]);
    });
}

#[test]
fn its_fibers_may_start_others() {
    run(|| {
        let sum = Cell::new(0);
        scope(|s| {
            s.spawn(|| {
                for number in 1..=4 {
                    let sum = &sum;
                    s.spawn(move || {
                        sched::yield_now();
                        sum.set(sum.get() + number);
                    });
                }
            });
        });
        assert_eq!(sum.get(), 10);
    });
}

#[test]
fn scopes_nest() {
    fn leaves(depth: u32) -> u32 {
        let sum = Cell::new(0);
        if depth == 0 {
            return 1;
        }
        scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    sched::yield_now();
                    let below = leaves(depth - 1);
                    sum.set(sum.get() + below);
                });
            }
        });
        sum.get()
    }
    run(|| assert_eq!(leaves(4), 81));
}

#[test]
fn what_a_handle_returns_may_borrow_and_outlive_the_scope() {
    run(|| {
        let text = String::from("borrowed");
        let handle = scope(|s| s.spawn(|| text.as_str()));
        assert!(handle.is_finished());
        assert_eq!(handle.join().unwrap(), "borrowed");
    });
}

#[test]
fn a_result_that_is_not_taken_is_dropped_before_the_scope_ends() {
    run(|| {
        let drops = Cell::new(0);
        scope(|s| {
            for _ in 0..5 {
                s.spawn(|| {
                    sched::yield_now();
                    OnDrop(|| drops.set(drops.get() + 1))
                });
            }
        });
        assert_eq!(drops.get(), 5);
    });
}

#[test]
fn a_cancelled_scope_starts_no_more_fibers() {
    run(|| {
        let (began, dropped) = (Cell::new(0), Cell::new(0));
        let value = scope(|s| {
            s.spawn(|| {
                began.set(began.get() + 1);
                sched::park();
            });
            sched::yield_now();
            s.cancel();
            let held = OnDrop(|| dropped.set(dropped.get() + 1));
            let late = s.spawn(move || drop(held));
            assert!(late.is_finished());
            assert_eq!(dropped.get(), 1);
            assert!(late.join().unwrap_err().is_cancelled());
            "the body goes on"
        });
        assert_eq!((value, began.get(), dropped.get()), ("the body goes on", 1, 1));
    });
}

#[test]
fn a_named_fiber_of_a_scope_is_as_any_other() {
    run(|| {
        let text = String::from("text");
        let length = scope(|s| {
            let fiber = FiberBuilder::new().name("reader").spawn_scoped(s, || text.len()).unwrap();
            fiber.join().unwrap()
        });
        assert_eq!(length, 4);
    });
}

#[test]
fn an_activation_may_open_a_scope() {
    run(|| {
        let mut activations = 0;
        let fiber = sched::spawn_stackless(move || {
            let mut ended = [false; 3];
            scope(|s| {
                for ended in &mut ended {
                    s.spawn(move || {
                        turns(2);
                        *ended = true;
                    });
                }
            });
            assert_eq!(ended, [true; 3]);
            activations += 1;
            sched::wake_later();
            if activations < 3 {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            }
        });
        fiber.join().unwrap();
    });
}
