//! What a child process finds of its parent's threads, and what others hear of a shard that breaks.
//!
//! Each test runs itself again as a process of its own, which does what would harm the others.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::unless_it_hangs;
use straightline_sched::sync::oneshot;
use straightline_sched::{
    self as sched, Config, Handle, OffloadPool, Report, Reporter, SpawnError,
};

/// Runs the test of that name again, in a process that does `body`.
fn in_a_process(test: &str, body: impl FnOnce() + Send + 'static) {
    if std::env::var_os(CHILD).is_some() {
        return unless_it_hangs(body);
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    let child = child.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    let output = child.output().expect("a child process");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
}

/// Forks a process that does `body`, and whether that returned true. It must not hang.
fn forked(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child does little, on its one thread; the parent's other threads hold no lock of
    // the allocator that glibc would not free in the child.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a process can be forked");
    if child == 0 {
        let code = i32::from(!catch_unwind(AssertUnwindSafe(body)).unwrap_or(false));
        // SAFETY: it ends the process, and nothing that is on the stack is looked at again.
        unsafe { libc::_exit(code) };
    }
    let (mut status, begin) = (0, Instant::now());
    loop {
        // SAFETY: `status` is there to be written.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if begin.elapsed() > HANGS_AFTER {
            // SAFETY: the child was not waited for, so the number is still its.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_child_offloads_to_threads_of_its_own() {
    in_a_process("a_child_offloads_to_threads_of_its_own", || {
        assert_eq!(sched::offload(|| 1).unwrap(), 1);
        assert_eq!(OffloadPool::global().stats().threads, 1);
        let begins_afresh = || {
            let afresh = OffloadPool::global().stats().threads == 0;
            afresh && sched::offload(|| 5).unwrap() == 5
        };
        assert!(forked(begins_afresh), "from a thread");
        assert!(forked(|| sched::run(|| sched::offload(|| 6).unwrap()).unwrap() == 6));
        assert!(forked(|| forked(begins_afresh)), "twice");
        assert!(sched::run(move || forked(begins_afresh)).unwrap(), "from a fiber");
        let closed = OffloadPool::new(sched::OffloadConfig::default());
        closed.close();
        assert!(forked(|| closed.run(|| ()).unwrap_err().is_closed()));
        assert_eq!(OffloadPool::global().stats().threads, 1);
    });
}

#[test]
fn the_shards_of_a_child_are_watched() {
    in_a_process("the_shards_of_a_child_are_watched", || {
        let is_told = || {
            let (tell, told) = channel();
            let reporter = Reporter::new(move |report| {
                if let Report::Stalled(_) = report {
                    let _ = tell.send(());
                }
            });
            let stall_limit = Some(Duration::from_millis(20));
            let config = Config { reporter, stall_limit, ..Config::default() };
            sched::run_with(config, move || told.recv_timeout(HANGS_AFTER / 2).is_ok()).unwrap()
        };
        assert!(is_told());
        assert!(forked(is_told));
    });
}

/// Has the driver's next wait fail, as in a process whose descriptors somebody else has closed.
fn break_driver() {
    let null = fs::File::open("/dev/null").expect("it is there");
    let null = std::os::fd::AsRawFd::as_raw_fd(&null);
    for entry in fs::read_dir("/proc/self/fd").expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().contains("eventpoll") {
            let number = path.file_name().and_then(|name| name.to_str()).expect("a number");
            let number = number.parse().expect("a number");
            // SAFETY: the number stays open, as something else; its owner gets an error.
            assert_eq!(unsafe { libc::dup2(null, number) }, number);
        }
    }
}

#[test]
fn a_shard_that_breaks_takes_nothing_more_and_whoever_waits_hears_of_it() {
    let name = "a_shard_that_breaks_takes_nothing_more_and_whoever_waits_hears_of_it";
    in_a_process(name, || {
        let held = Arc::new(());
        let ((sender, receiver), (ran, end)) = (oneshot::channel::<()>(), oneshot::channel());
        let (tell, handle) = channel();
        let reached = Arc::new(Barrier::new(2));
        let waiter = thread::spawn(move || receiver.recv());
        let shard = sched::spawn_shard("breaks", Config::default(), {
            let (held, reached) = (Arc::clone(&held), Arc::clone(&reached));
            move || {
                // One waits, with what another thread waits for; one is not to be disturbed.
                sched::spawn(move || {
                    let _sender = sender;
                    sched::park();
                });
                sched::spawn({
                    let held = Arc::clone(&held);
                    move || {
                        sched::uncancellable(|| (0..u64::MAX).for_each(|_| sched::park()));
                        drop(held);
                    }
                });
                sched::yield_now();
                tell.send(Handle::current()).unwrap();
                reached.wait(); // until a closure was sent
                break_driver();
                sched::park();
            }
        });
        let handle = handle.recv().unwrap();
        let closure = {
            let held = Arc::clone(&held);
            move || {
                let _ = ran.send(Arc::strong_count(&held));
            }
        };
        handle.spawn(closure).unwrap();
        reached.wait();
        let payload = shard.unwrap().join().unwrap_err();
        let message = payload.downcast_ref::<String>().expect("a text");
        assert!(message.contains("waiting for events failed"), "{message}");
        assert!(waiter.join().unwrap().is_err());
        let _ = end.recv(); // it ran, or was dropped
        assert_eq!(handle.spawn(|| ()), Err(SpawnError::Closed));
        // The frames of the one that could not be disturbed stay for ever.
        assert_eq!(Arc::strong_count(&held), 2);
    });
}

const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";

/// Sooner than the test is given up.
const HANGS_AFTER: Duration = Duration::from_secs(30);
