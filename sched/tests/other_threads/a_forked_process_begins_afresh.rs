//! A process with shards and pools forks. The child has none of the parent's threads, and starts
//! threads of its own.
//!
//! Each test has a process to itself, because at the fork no other thread may hold a lock.

#![cfg(target_os = "linux")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{own_process::in_a_process, unless_it_hangs};
use straightline_sched::process::{Command, Stdio};
use straightline_sched::{self as sched, Config, OffloadPool, Report, Reporter};

/// Forks a process that runs `body`, and returns whether `body` returned true. The process must not
/// hang.
fn forked(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child does little, on its only thread. Where another thread of the parent holds a
    // lock of the allocator, glibc frees that lock in the child.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a process can be forked");
    if child == 0 {
        let code = i32::from(!catch_unwind(AssertUnwindSafe(body)).unwrap_or(false));
        // SAFETY: it ends the process, and nothing uses the stack afterwards.
        unsafe { libc::_exit(code) };
    }
    let (mut status, begin) = (0, Instant::now());
    loop {
        // SAFETY: `status` is valid for a write.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if begin.elapsed() > HANGS_AFTER {
            // SAFETY: the child was not waited for, so the number still belongs to it.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_child_offloads_to_threads_of_its_own() {
    in_a_process(|| {
        unless_it_hangs(|| {
            assert_eq!(sched::offload(|| 1).unwrap(), 1);
            assert_eq!(OffloadPool::global().stats().threads, 1);
            let begins_afresh = || {
                let afresh = OffloadPool::global().stats().threads == 0;
                afresh && sched::offload(|| 5).unwrap() == 5
            };
            assert!(forked(begins_afresh), "from a thread");
            assert!(forked(|| sched::run(|| sched::offload(|| 6).unwrap()) == 6));
            assert!(forked(|| forked(begins_afresh)), "twice");
            assert!(sched::run(move || forked(begins_afresh)), "from a fiber");
            let closed = OffloadPool::new(sched::OffloadConfig::default());
            closed.close();
            assert!(forked(|| closed.run(|| ()).unwrap_err().is_closed()));
            assert_eq!(OffloadPool::global().stats().threads, 1);
        });
    });
}

#[test]
fn the_shards_of_a_child_are_watched() {
    in_a_process(|| {
        unless_it_hangs(|| {
            let is_reported = || {
                let (sender, receiver) = channel();
                let reporter = Reporter::new(move |report| {
                    if let Report::Stalled(_) = report {
                        let _ = sender.send(());
                    }
                });
                let stall_limit = Some(Duration::from_millis(20));
                let config =
                    Config::default().with_reporter(reporter).with_stall_limit(stall_limit);
                sched::run_with(config, move || receiver.recv_timeout(HANGS_AFTER / 2).is_ok())
                    .unwrap()
            };
            assert!(is_reported());
            assert!(forked(is_reported));
        });
    });
}

#[test]
fn a_child_reaps_its_own_children() {
    in_a_process(|| {
        unless_it_hangs(|| {
            let is_reaped = || {
                let id = sched::run(|| {
                    Command::new("sleep").arg("1000").spawn().expect("it is there").id()
                });
                let (process, begin) = (format!("/proc/{id}"), Instant::now());
                while Path::new(&process).exists() && begin.elapsed() < HANGS_AFTER / 2 {
                    thread::sleep(Duration::from_millis(1));
                }
                !Path::new(&process).exists()
            };
            // So the parent's thread has work at the fork.
            let stdin = sched::run(|| {
                let mut command = Command::new("cat");
                command.stdin(Stdio::piped()).kill_on_drop(false);
                command.spawn().expect("it is there").stdin.take()
            });
            assert!(is_reaped());
            assert!(forked(is_reaped));
            assert!(forked(|| forked(is_reaped)), "twice");
            drop(stdin);
        });
    });
}

/// Shorter than the limit after which the test fails.
const HANGS_AFTER: Duration = Duration::from_secs(30);
