//! A fiber that outgrows its stack ends the process by SIGSEGV, and stderr names the fiber. Any
//! other fault ends the process as it would without fibers.
//!
//! Each test has a child process, which the fault ends.

#![cfg(unix)]

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::common::own_process::child;
use straightline_sched::{self as sched, Config};

fn overflow(depth: u64) -> u64 {
    if depth == black_box(u64::MAX) {
        return 0;
    }
    let frame = black_box([depth; 64]);
    overflow(depth + 1) + black_box(frame)[7]
}

fn assert_reported(output: &Output, line: u32, stack: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{:?}: {stderr}", output.status);
    let expected = format!("(spawned at {}:{line}:", file!());
    assert!(stderr.contains(&expected), "{expected}: {stderr}");
    let expected = format!("overflowed its stack of {stack}; give it more with `stack_bytes`\n");
    assert!(stderr.contains(&expected), "{expected}: {stderr}");
    assert_eq!(stderr.matches("straightline:").count(), 1, "{stderr}");
}

fn assert_not_reported(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{:?}: {stderr}", output.status);
    assert!(!stderr.contains("straightline:"), "{stderr}");
}

#[test]
fn an_overflow_says_what_the_fiber_was_doing() {
    let output = child(|| {
        let _ = sched::run_with(sched::Config::default(), || {
            let label = sched::Label::new();
            sched::set_label(Some(&label));
            label.set(b"GET /deep\n");
            overflow(0)
        });
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(r"), at `GET /deep\n`, overflowed its stack of "), "{stderr}");
}

#[test]
fn an_overflow_of_a_fiber_names_its_spawn_and_its_size() {
    let line = line!() + 3;
    let output = child(|| {
        let _ = sched::run_with(Config::default().with_stack_bytes(128 * 1024), || {
            let fiber = sched::spawn(|| overflow(0));
            (0..10).for_each(|_| drop(sched::spawn(sched::park)));
            fiber.join()
        });
    });
    assert_reported(&output, line, "128 KiB");
}

#[test]
fn an_overflow_of_an_activation_is_reported_too() {
    let line = line!() + 3;
    let output = child(|| {
        let _ = sched::run_with(sched::Config::default(), || {
            let fiber = sched::spawn_stackless(|| {
                overflow(0);
                std::ops::ControlFlow::Break(())
            });
            fiber.join()
        });
    });
    assert_reported(&output, line, "256 KiB");
}

#[test]
fn a_thread_without_a_signal_stack_gets_one() {
    let line = line!() + 6;
    let output = child(|| {
        let none =
            libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: signal handlers then run on the thread's ordinary stack, which is large enough.
        assert_eq!(unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) }, 0);
        let _ = sched::run_with(sched::Config::default(), || overflow(0));
    });
    assert_reported(&output, line, "256 KiB");
}

#[test]
fn another_fault_on_a_fiber_is_no_overflow() {
    let output = child(|| {
        let _ = sched::run_with(sched::Config::default(), || {
            let nowhere = std::ptr::without_provenance_mut::<u8>(black_box(4096));
            // SAFETY: none. The fault ends the child process, as the test wants.
            unsafe { nowhere.write_volatile(1) };
        });
    });
    assert_not_reported(&output);
}

#[test]
fn an_overflow_of_the_thread_is_not_a_fibers() {
    let output = child(|| {
        let _ = sched::run_with(sched::Config::default(), || ());
        overflow(0);
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "std's own report aborts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("has overflowed its stack"), "{stderr}");
    assert!(!stderr.contains("straightline:"), "{stderr}");
}
