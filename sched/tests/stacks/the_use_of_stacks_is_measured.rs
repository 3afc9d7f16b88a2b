//! The measurement lists each place that spawns fibers, with the most stack that a fiber of this
//! place has used.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::panic::Location;

use straightline_sched::{self as sched, Config, StackUsage};

fn use_stack(bytes: usize) {
    fn descend(first: usize, bytes: usize) {
        let local = black_box([0_u8; 64]);
        if first.abs_diff(local.as_ptr().addr()) < bytes {
            descend(first, bytes);
        }
        black_box(local);
    }
    let local = black_box(0_u8);
    descend(std::ptr::from_ref(&local).addr(), bytes);
}

fn measured(root: impl FnOnce() + 'static) -> Vec<StackUsage> {
    let config = Config::default().with_stack_bytes(512 * 1024).with_stack_usage(true);
    sched::run_with(config, || {
        root();
        sched::stack_usage()
    })
    .expect("a shard")
}

#[track_caller]
fn spawn_at_the_caller(bytes: usize) -> &'static Location<'static> {
    sched::spawn(move || use_stack(bytes)).join().expect("room enough");
    Location::caller()
}

#[test]
fn the_greatest_use_of_each_place_comes_first() {
    let uses = measured(|| {
        for bytes in [10, 200, 20, 10] {
            sched::spawn(move || use_stack(bytes * 1024)).join().unwrap();
        }
        let shallow = spawn_at_the_caller(1024);
        let deep = spawn_at_the_caller(400 * 1024);
        assert_ne!(shallow, deep);
    });
    assert_eq!(uses.len(), 3);
    for (found, (kib, fibers)) in uses.iter().zip([(400, 1), (200, 4), (1, 1)]) {
        assert_eq!(found.stack_bytes, 512 * 1024);
        assert_eq!(found.fibers, fibers, "{found:?}");
        assert!((kib * 1024..(kib + 48) * 1024).contains(&found.max_used_bytes), "{found:?}");
        assert_eq!(found.spawned_at.file(), file!());
    }
}

#[test]
fn fibers_that_are_cancelled_or_run_in_activations_are_measured_too() {
    let uses = measured(|| {
        let activations = Cell::new(0);
        let fiber = sched::spawn_stackless(move || {
            activations.set(activations.get() + 1);
            use_stack(activations.get() * 100 * 1024);
            sched::wake_later();
            if activations.get() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        fiber.join().unwrap();
        let fiber = sched::spawn(|| {
            use_stack(100 * 1024);
            sched::park();
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
    assert_eq!(uses.len(), 2);
    assert_eq!((uses[0].fibers, uses[1].fibers), (3, 1));
    assert!((300 * 1024..348 * 1024).contains(&uses[0].max_used_bytes), "{uses:?}");
    assert!((100 * 1024..148 * 1024).contains(&uses[1].max_used_bytes), "{uses:?}");
}

#[test]
fn nothing_is_measured_unless_it_was_asked_for() {
    sched::run(|| {
        sched::spawn(|| use_stack(1024)).join().unwrap();
        assert_eq!(sched::stack_usage(), []);
    });
}
