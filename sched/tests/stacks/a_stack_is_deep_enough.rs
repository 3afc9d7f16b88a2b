//! The default stack has room for a hundred kilobytes of frames, and each fiber has a stack of its
//! own.

use std::hint::black_box;

use straightline_sched::{self as sched, Config};

/// Calls itself until its frames use `bytes` of stack. Returns the depth that was reached.
fn descend(first: usize, bytes: usize, at_the_bottom: &dyn Fn()) -> u32 {
    let local = black_box([0_u8; 64]);
    if first.abs_diff(local.as_ptr().addr()) >= bytes {
        at_the_bottom();
        return 1;
    }
    let depth = descend(first, bytes, at_the_bottom);
    assert_eq!(black_box(local), [0; 64], "another fiber wrote into this frame");
    depth + 1
}

fn use_stack(bytes: usize, at_the_bottom: impl Fn()) -> u32 {
    let local = black_box(0_u8);
    descend(std::ptr::from_ref(&local).addr(), bytes, &at_the_bottom)
}

#[test]
fn the_default_stack_takes_a_deep_recursion() {
    sched::run(|| {
        let fiber = sched::spawn(|| use_stack(100 * 1024, || ()));
        assert!(fiber.join().unwrap() > 10);
    });
}

#[test]
fn fibers_that_wait_deep_down_keep_their_frames() {
    sched::run(|| {
        let fibers: Vec<_> =
            (0..100).map(|_| sched::spawn(|| use_stack(100 * 1024, sched::yield_now))).collect();
        let depths: Vec<_> = fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect();
        assert!(depths.iter().all(|depth| *depth == depths[0]));
    });
}

#[test]
fn a_cancel_unwinds_from_deep_down() {
    sched::run(|| {
        let fiber = sched::spawn(|| use_stack(100 * 1024, sched::park));
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn the_smallest_stack_takes_a_caught_panic() {
    sched::run_with(Config::default().with_stack_bytes(0), || {
        let fiber = sched::spawn(|| std::panic::panic_any(5));
        assert!(fiber.join().unwrap_err().is_panic());
    })
    .unwrap();
}

#[test]
fn a_larger_stack_can_be_asked_for() {
    sched::run_with(Config::default().with_stack_bytes(4 << 20), || {
        let fiber = sched::spawn(|| use_stack(3 << 20, sched::yield_now));
        assert!(fiber.join().unwrap() > 10);
    })
    .unwrap();
}
