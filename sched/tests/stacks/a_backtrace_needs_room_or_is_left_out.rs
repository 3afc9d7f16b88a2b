//! The backtrace of a parked fiber is taken on its own stack. A fiber without room for that is
//! listed without a backtrace. (Otherwise the overflow would end this process.)

use std::hint::black_box;

use straightline_sched::{self as sched, FiberBuilder};

#[test]
fn a_fiber_with_little_left_is_listed_without() {
    sched::run(|| {
        let spawn = |name: &'static str, left_bytes| {
            let builder = FiberBuilder::new().name(name).stack_bytes(STACK_BYTES);
            let fiber = builder.spawn(move || {
                let top = 0_u8;
                deep(std::ptr::from_ref(&top).addr(), left_bytes);
            });
            fiber.expect("a stack")
        };
        let parked = [spawn("cramped", 4 * 1024), spawn("at ease", 24 * 1024)];
        sched::yield_now();
        let fibers = sched::inspect_with_backtraces(10);
        let backtrace_of = |name: &str| {
            let fiber = fibers.iter().find(|fiber| fiber.name.as_deref() == Some(name));
            fiber.expect("the fiber is listed").backtrace.is_some()
        };
        assert!(!backtrace_of("cramped"));
        assert!(backtrace_of("at ease"));
        for fiber in parked {
            fiber.fiber().unpark(); // an unwind would need room too
            fiber.join().unwrap();
        }
    });
}

/// Parks where at most `left_bytes` of the stack are left.
#[inline(never)]
fn deep(top: usize, left_bytes: usize) {
    let frame = black_box([0_u8; 128]);
    if top - std::ptr::from_ref(&frame).addr() < STACK_BYTES - left_bytes {
        deep(top, left_bytes);
    } else {
        sched::park();
    }
    black_box(frame);
}

/// The smallest stack that a program may ask for.
const STACK_BYTES: usize = 32 * 1024;
