//! A child whose `Child` is dropped leaves no program, no zombie and no descriptor.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use crate::common::own_process::in_a_process;
use crate::common::{on_a_shard, run};
use crate::scratch::{Scratch, is_running, until};
use straightline_sched as sched;
use straightline_sched::process::{Command, Stdio};

/// A child that lives until its standard input ends.
fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn a_deadline_kills_the_child() {
    run(|| {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = child.id();
        assert!(is_running(id));
        let late = sched::deadline(Duration::from_millis(10), move || child.wait());
        assert!(late.is_err());
        until("the child is gone", || !is_running(id));
    });
}

#[test]
fn a_cancel_kills_the_child() {
    run(|| {
        let id = Rc::new(Cell::new(0));
        let fiber = sched::spawn({
            let id = Rc::clone(&id);
            move || {
                let child = cat().spawn().unwrap();
                id.set(child.id());
                sched::sleep(Duration::MAX);
                drop(child);
            }
        });
        while id.get() == 0 {
            sched::sleep(Duration::from_millis(1));
        }
        assert!(is_running(id.get()));
        fiber.cancel();
        assert!(fiber.join().is_err());
        until("the child is gone", || !is_running(id.get()));
    });
}

#[test]
fn a_child_whose_start_has_no_caller_any_more_is_killed() {
    run(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000").stdout(OwnedFd::from(far));
        for _ in 0..20 {
            let command = command.clone();
            let fiber = sched::spawn(move || command.spawn().map(drop));
            sched::yield_now(); // the job has begun, or waits
            fiber.cancel();
            drop(fiber.join());
        }
        drop(command);
        // Comes when every child is gone that has the other side.
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_group_is_killed_with_its_leader() {
    run(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000; true"]);
        command.kill_group(true).stdout(OwnedFd::from(far));
        let child = command.spawn().unwrap();
        drop((child, command));
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_child_may_go_on_behind_its_drop() {
    run(|| {
        let scratch = Scratch::new();
        let mut command = Command::new("sh");
        let script = format!("read line; echo $line > {}/out", scratch.path().display());
        command.args(["-c", &script]).stdin(Stdio::piped()).kill_on_drop(false);
        let mut child = command.spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        drop(child);
        to.write_all(b"still here\n").unwrap();
        let read = || fs::read_to_string(scratch.join("out")).unwrap_or_default();
        until("the child has written", || read() == "still here\n");
    });
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

/// The children of this process, also those that are zombies.
#[cfg(target_os = "linux")]
fn children() -> usize {
    let own = std::process::id().to_string();
    let is_child = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let behind_name = stat.rsplit(") ").next().unwrap_or_default();
        behind_name.split(' ').nth(1) == Some(&own)
    };
    let processes = fs::read_dir("/proc").expect("Linux has it");
    processes.filter(|entry| entry.as_ref().is_ok_and(is_child)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_children_leave_nothing() {
    in_a_process(|| {
        on_a_shard(|| {
            Command::new("true").status().unwrap();
            let before = descriptors();
            for _ in 0..1_000 {
                let output = Command::new("true").output().unwrap();
                assert!(output.status.success());
            }
            assert_eq!((descriptors(), children()), (before, 0));
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn children_that_are_dropped_leave_nothing() {
    in_a_process(|| {
        on_a_shard(|| {
            drop(cat().spawn().unwrap());
            until("the first is reaped", || children() == 0);
            let before = descriptors();
            let all: Vec<_> = (0..100).map(|_| cat().spawn().unwrap()).collect();
            assert_eq!(children(), 100);
            drop(all);
            assert_eq!(descriptors(), before); // at once
            until("all are reaped", || children() == 0);
            for _ in 0..100 {
                drop(cat().spawn().unwrap());
            }
            until("all are reaped", || children() == 0);
            assert_eq!(descriptors(), before);
        });
        // The shard's threads have ended, and the pool's are idle; the reaper's ends with its work.
        until("the reaper has ended", || !has_thread("reap-children"));
    });
}

#[cfg(target_os = "linux")]
fn has_thread(name: &str) -> bool {
    let names = fs::read_dir("/proc/self/task").expect("Linux has it").filter_map(Result::ok);
    names
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .any(|comm| comm.trim() == name)
}
