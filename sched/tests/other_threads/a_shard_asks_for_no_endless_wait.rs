//! A shard splits a very long wait into waits that every system accepts. kqueue refuses a wait of
//! some years, and epoll before Linux 5.11 refuses a wait of more than 24 days.

#![cfg(target_os = "linux")]

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use straightline_sched as sched;

#[test]
fn a_sleep_of_a_century_is_many_waits() {
    let (sender, parked) = mpsc::channel();
    let shard = thread::spawn(move || {
        sched::run(move || {
            // SAFETY: it takes no argument.
            let thread = unsafe { libc::syscall(libc::SYS_gettid) };
            sender.send((thread, sched::current())).unwrap();
            sched::park_timeout(Duration::MAX);
        });
    });
    let (thread, fiber) = parked.recv().unwrap();
    let waits = wait_of(thread);
    fiber.unpark();
    shard.join().unwrap();
    // If the kernel does not show the call, the test cannot check it.
    let Some((call, timeout_ms)) = waits else { return };
    assert_eq!(call, libc::SYS_epoll_pwait, "the call that every kernel has");
    // Without a timeout a timer descriptor ends the wait. It takes any time.
    let has_none = timeout_ms & u64::from(u32::MAX) == u64::from(u32::MAX);
    assert!(has_none || (1..=WAIT_MS_MAX).contains(&timeout_ms), "{timeout_ms} ms");
}

/// Waits until the thread is in a system call. Returns the number of the call and its timeout.
fn wait_of(thread: i64) -> Option<(i64, u64)> {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
        let mut words = text.split_ascii_whitespace();
        let call = words.next().and_then(|word| word.parse::<i64>().ok());
        if let Some(call @ (libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2)) = call {
            let timeout = words.nth(3)?.trim_start_matches("0x");
            return Some((call, u64::from_str_radix(timeout, 16).ok()?));
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the thread never waits: {text}");
        thread::yield_now();
    }
}

/// The largest timeout of epoll, in milliseconds.
const WAIT_MS_MAX: u64 = i32::MAX as u64;
