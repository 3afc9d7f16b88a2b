//! A join returns what the fiber returned, whenever and however late the fiber ended.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::time::Duration;

use straightline_sched as sched;

#[test]
fn a_join_waits_for_the_value() {
    let value = sched::run_with(sched::Config::default(), || {
        let fiber = sched::spawn(|| {
            sched::sleep(Duration::from_millis(1));
            String::from("value")
        });
        fiber.join().unwrap()
    });
    assert_eq!(value.unwrap(), "value");
}

#[test]
fn a_join_of_a_finished_fiber_lets_no_other_run() {
    sched::run(|| {
        let early = sched::spawn(|| 1);
        sched::yield_now();
        assert!(early.is_finished());
        let bystander_ran = Rc::new(Cell::new(false));
        sched::spawn({
            let bystander_ran = Rc::clone(&bystander_ran);
            move || bystander_ran.set(true)
        });
        assert_eq!(early.join().unwrap(), 1);
        assert!(!bystander_ran.get());
    });
}

#[test]
fn a_fiber_without_handle_goes_on() {
    sched::run(|| {
        let done = Rc::new(Cell::new(false));
        drop(sched::spawn({
            let done = Rc::clone(&done);
            move || {
                sched::yield_now();
                done.set(true);
            }
        }));
        while !done.get() {
            sched::yield_now();
        }
    });
}

#[test]
fn a_result_that_is_not_joined_is_dropped() {
    sched::run(|| {
        let result = Rc::new(());
        let watch = Rc::downgrade(&result);
        drop(sched::spawn(move || result));
        assert!(watch.upgrade().is_some());
        sched::yield_now();
        assert!(watch.upgrade().is_none());
    });
}

#[test]
fn joins_in_any_order_find_every_value() {
    sched::run(|| {
        let fibers: Vec<_> = (0..1_000_u32)
            .map(|number| {
                sched::spawn(move || {
                    (0..number % 7).for_each(|_| sched::yield_now());
                    number
                })
            })
            .collect();
        let values: Vec<_> = fibers.into_iter().rev().map(|fiber| fiber.join().unwrap()).collect();
        assert!(values.into_iter().eq((0..1_000).rev()));
    });
}

#[test]
fn fibers_join_the_fibers_that_they_spawned() {
    fn leaves(depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let left = sched::spawn(move || leaves(depth - 1));
        let right = sched::spawn(move || leaves(depth - 1));
        left.join().expect("left ends") + right.join().expect("right ends")
    }
    assert_eq!(sched::run(|| leaves(8)), 256);
}

#[test]
fn a_joiner_that_is_woken_early_waits_on() {
    sched::run(|| {
        let me = sched::current();
        let slow = sched::spawn(move || {
            for _ in 0..10 {
                me.unpark();
                sched::yield_now();
            }
            "late"
        });
        assert_eq!(slow.join().unwrap(), "late");
    });
}

#[test]
fn a_fiber_whose_joiner_is_cancelled_goes_on() {
    sched::run(|| {
        let done = Rc::new(Cell::new(false));
        let worker = sched::spawn({
            let done = Rc::clone(&done);
            move || {
                (0..5).for_each(|_| sched::yield_now());
                done.set(true);
            }
        });
        let joiner = sched::spawn(move || worker.join());
        sched::yield_now();
        joiner.cancel();
        assert!(joiner.join().unwrap_err().is_cancelled());
        assert!(!done.get());
        while !done.get() {
            sched::yield_now();
        }
    });
}

/// A closure that captures and returns `BYTES` bytes.
fn large<const BYTES: usize>() -> impl FnOnce() -> [u8; BYTES] + Send {
    let captured = [7; BYTES];
    move || captured
}

fn spawned_everywhere<const BYTES: usize>() {
    let expected = [7; BYTES];
    assert!(sched::spawn(large::<BYTES>()).join().expect("the fiber returns") == expected);
    let built = sched::FiberBuilder::new().stack_bytes(1 << 20).spawn(large::<BYTES>());
    assert!(built.expect("a stack").join().expect("the fiber returns") == expected);
    sched::scope(|s| {
        let borrows = &expected;
        let body = large::<BYTES>();
        let child = s.spawn(move || body() == *borrows);
        assert!(child.join().expect("the fiber returns"));
        assert!(s.spawn(large::<BYTES>()).join().expect("the fiber returns") == expected);
    });
    let (captured, result) = ([7_u8; BYTES], Rc::new(Cell::new([0; BYTES])));
    let shared_result = Rc::clone(&result);
    let activations = sched::spawn_stackless(move || {
        shared_result.set(captured);
        ControlFlow::Break(())
    });
    activations.join().expect("the fiber returns");
    assert!(result.get() == expected);
    let (sender, receiver) = sched::sync::oneshot::channel();
    let body = large::<BYTES>();
    let sent =
        move || sender.send(Box::new(body())).unwrap_or_else(|_| panic!("the receiver is alive"));
    sched::ShardHandle::current().spawn(sent).expect("the shard runs");
    assert!(*receiver.recv().expect("the fiber has sent it") == expected);
    // Also a fiber that never begins.
    let fiber = sched::spawn(large::<BYTES>());
    fiber.cancel();
    assert!(fiber.join().expect_err("a cancel").is_cancelled());
}

#[test]
fn closures_and_results_may_be_large() {
    let config = sched::Config::default().with_stack_bytes(1 << 20);
    sched::run_with(config, || {
        spawned_everywhere::<0>();
        spawned_everywhere::<1_000>();
        spawned_everywhere::<1_015>();
        spawned_everywhere::<1_016>();
        spawned_everywhere::<1_017>();
        spawned_everywhere::<1_024>();
        spawned_everywhere::<2_000>();
        spawned_everywhere::<8_000>();
        assert_eq!(sched::stats().stacks, 1, "a stack is lost");
    })
    .unwrap();
}

#[test]
fn closures_may_have_any_alignment() {
    #[repr(align(4096))]
    struct Page([u8; 16]);

    sched::run(|| {
        let page = Page([7; 16]);
        let fiber = sched::spawn(move || (std::ptr::from_ref(&page).addr() % 4096, page.0));
        assert_eq!(fiber.join().unwrap(), (0, [7; 16]));
        assert_eq!(sched::stats().stacks, 1);
    });
}

#[test]
fn a_fiber_that_cannot_begin_loses_no_stack() {
    struct Unclonable;
    impl Clone for Unclonable {
        fn clone(&self) -> Self {
            panic!("of the clone")
        }
    }
    sched::fiber_local! {
        static inherited LOCAL: Unclonable = Unclonable;
    }
    sched::run(|| {
        LOCAL.with(|_| ());
        for _ in 0..100 {
            assert!(catch_unwind(|| drop(sched::spawn(|| ()))).is_err());
        }
        assert_eq!(sched::stats().stacks, 1);
    });
}
