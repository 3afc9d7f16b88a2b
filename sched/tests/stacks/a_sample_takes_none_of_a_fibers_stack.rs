//! A fiber that keeps its thread while its stack is nearly used up is reported, and goes on: its
//! backtrace is taken on another stack. (Otherwise a fault would end this process.)

#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use straightline_sched::{self as sched, Config, FiberBuilder, Report, Reporter};

#[test]
fn a_fiber_with_little_left_is_sampled() {
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, stalls) = mpsc::channel();
    let reporter = Reporter::new({
        let (stop, sender) = (Arc::clone(&stop), Mutex::new(sender));
        move |report| {
            if let Report::Stalled(stall) = report {
                let _ = sender.lock().expect("no panic in this test").send(stall.clone());
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let stall_limit = Some(Duration::from_millis(50));
    let config = Config::default().with_stall_limit(stall_limit).with_reporter(reporter);
    sched::run_with(config, move || {
        let fiber = FiberBuilder::new().stack_bytes(STACK_BYTES).spawn(move || {
            let top = 0_u8;
            deep(std::ptr::from_ref(&top).addr(), &stop);
        });
        fiber.unwrap().join().unwrap();
    })
    .unwrap();
    let stall = stalls.recv().unwrap();
    assert!(stall.to_string().contains("computes_until"), "{stall}");
}

/// Computes where almost no stack is left.
#[inline(never)]
fn deep(top: usize, stop: &AtomicBool) {
    let frame = black_box([0_u8; 128]);
    if top - std::ptr::from_ref(&frame).addr() < STACK_BYTES - LEFT_BYTES {
        deep(top, stop);
    } else {
        computes_until(stop);
    }
    black_box(frame);
}

#[inline(never)]
fn computes_until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

/// The smallest stack that a program may ask for.
const STACK_BYTES: usize = 32 * 1024;

/// A part of these bytes lies above the fiber's first frame. The rest is less than the walk of a
/// stack needs.
const LEFT_BYTES: usize = 5 * 1024;
