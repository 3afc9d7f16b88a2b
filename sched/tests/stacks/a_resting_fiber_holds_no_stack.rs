//! Between two activations a fiber has no stack, so there may be more fibers than stacks.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use straightline_sched::{self as sched, Config};

#[test]
fn more_fibers_rest_than_there_is_room_for_stacks() {
    // If each fiber had its own stack, this would be a hundred terabytes.
    let config = Config::default().with_stack_bytes(10 << 30);
    let ended = sched::run_with(config, || {
        let (began, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let fibers: Vec<_> = (0..FIBERS)
            .map(|number| {
                let (began, ended, mut sum) = (Rc::clone(&began), Rc::clone(&ended), number);
                sched::spawn_stackless(move || {
                    began.set(began.get() + 1);
                    sum += 1;
                    if sum < number + 3 {
                        return ControlFlow::Continue(());
                    }
                    ended.set(ended.get() + 1);
                    ControlFlow::Break(())
                })
            })
            .collect();
        for activation in 1..=3 {
            sched::yield_now();
            assert_eq!(began.get(), FIBERS * activation);
            fibers.iter().for_each(|fiber| fiber.fiber().unpark());
        }
        for fiber in fibers {
            fiber.join().unwrap();
        }
        ended.get()
    });
    assert_eq!(ended.unwrap(), FIBERS);
}

#[test]
fn resting_fibers_are_dropped_at_the_end_of_run() {
    let held = Rc::new(());
    sched::run({
        let held = Rc::clone(&held);
        move || {
            for _ in 0..FIBERS {
                let held = Rc::clone(&held);
                drop(sched::spawn_stackless(move || {
                    let _ = &held;
                    ControlFlow::Continue(())
                }));
            }
            sched::yield_now();
            assert_eq!(Rc::strong_count(&held), 2 + FIBERS);
        }
    });
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn the_stacks_of_activations_that_are_over_are_free() {
    sched::run(|| {
        // All of them are in the middle of an activation at the same time.
        let resting = || {
            sched::yield_now();
            ControlFlow::Continue(())
        };
        let _fibers: Vec<_> = (0..100).map(|_| sched::spawn_stackless(resting)).collect();
        sched::yield_now();
        assert_eq!(sched::stats().stacks, 1 + 100);
        sched::yield_now();
        let stats = sched::stats();
        assert_eq!(stats.stacks, 1, "the stack of this fiber");
        assert!(stats.stacks_hot + stats.stacks_cold >= 100, "{stats:?}");
    });
}

const FIBERS: usize = 10_000;
