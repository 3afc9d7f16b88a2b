//! The wait for a child parks its fiber, and finds the end however it comes.

use std::io::{self, ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::common::own_process::in_a_process;
use crate::common::{on_a_shard, run};
use straightline_sched as sched;
use straightline_sched::process::{Child, Command, Stdio};
use straightline_sched::sync::mpsc;

#[test]
fn other_fibers_run_meanwhile() {
    run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let waiter = sched::spawn(move || child.wait());
        let (sender, receiver) = mpsc::channel(1);
        sched::spawn(move || (0..100).try_for_each(|number| sender.send(number)));
        assert_eq!((0..100).filter(|_| receiver.recv().is_ok()).count(), 100);
        assert!(!waiter.is_finished());
        to.write_all(b"").unwrap();
        drop(to);
        assert!(waiter.join().unwrap().unwrap().success());
    });
}

#[test]
fn many_children_are_waited_for_at_once() {
    run(|| {
        sched::scope(|s| {
            let children: Vec<_> = (0..30)
                .map(|code| {
                    s.spawn(move || {
                        Command::new("sh").args(["-c", &format!("exit {code}")]).status()
                    })
                })
                .collect();
            for (code, child) in (0..30).zip(children) {
                assert_eq!(child.join().unwrap().unwrap().code(), Some(code));
            }
        });
    });
}

#[test]
fn the_status_stays_known() {
    run(|| {
        let mut child = Command::new("sh").args(["-c", "exit 9"]).spawn().unwrap();
        for _ in 0..3 {
            assert_eq!(child.wait().unwrap().code(), Some(9));
        }
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(9));
        child.kill().unwrap(); // does nothing: the number may be another process's
    });
}

#[test]
fn a_wait_that_a_deadline_ends_can_be_repeated() {
    run(|| {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        for _ in 0..3 {
            assert!(sched::deadline(Duration::from_millis(3), || child.wait()).is_err());
        }
        child.signal(15).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    });
}

#[test]
fn a_wait_closes_the_standard_input() {
    run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_command_says_what_its_program_gets() {
    run(|| {
        let mut command = Command::new("/bin/sh");
        command.arg0("shell").args(["-c", "echo $0 $A $B ${HOME-none}; pwd"]).arg("name");
        command.env("GONE", "x").env_clear().env("A", "1").envs([("B", "2"), ("C", "3")]);
        command.env_remove("C").current_dir("/");
        let clone = command.clone();
        for command in [command, clone] {
            let output = command.output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "name 1 2 none\n/\n");
        }
        let group = "ps -o pgid= -p $$; echo $$";
        let output = Command::new("sh").args(["-c", group]).process_group(0).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<_> = text.split_whitespace().collect();
        assert_eq!(numbers[0], numbers[1]);
    });
}

#[test]
fn a_program_that_cannot_start_is_an_error() {
    run(|| {
        let kind = |result: io::Result<Child>| result.unwrap_err().kind();
        assert_eq!(kind(Command::new("no such program").spawn()), ErrorKind::NotFound);
        assert_eq!(kind(Command::new("/").spawn()), ErrorKind::PermissionDenied);
        assert_eq!(kind(Command::new("true").arg("a\0b").spawn()), ErrorKind::InvalidInput);
        let mut child = Command::new("true").spawn().unwrap();
        assert_eq!(child.signal(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(child.signal(12_345).unwrap_err().kind(), ErrorKind::InvalidInput);
        child.wait().unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_wait_is_a_wait_for_a_descriptor() {
    run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let waiter = sched::spawn(move || child.wait());
        sched::yield_now();
        let is_parked = |info: &sched::FiberInfo| info.to_string().contains("to read from");
        assert!(sched::inspect().iter().any(is_parked), "{:?}", sched::inspect());
        drop(to);
        waiter.join().unwrap().unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_wait_succeeds_when_there_are_no_more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    in_a_process(|| {
        on_a_shard(|| {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let to = child.stdin.take().unwrap();
            let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Nofile) };
            setrlimit(Resource::Nofile, limit).unwrap();
            assert!(std::fs::File::open("/dev/null").is_err());
            let waiter = sched::spawn(move || child.wait());
            sched::sleep(Duration::from_millis(10));
            assert!(!waiter.is_finished());
            drop(to);
            assert!(waiter.join().unwrap().unwrap().success());
        });
    });
}

#[test]
fn a_child_that_was_reaped_by_others_is_an_error() {
    in_a_process(|| {
        on_a_shard(|| {
            let mut child = Command::new("true").spawn().unwrap();
            let any = rustix::process::wait(rustix::process::WaitOptions::empty()).unwrap();
            assert!(any.is_some());
            assert!(child.wait().is_err());
            drop(child);
        });
    });
}
