//! A process ends, whatever fibers are left in it. But it does so without destroying the
//! thread-locals that a fiber may have lent to another thread, and then says so.
//!
//! Each case runs in a child process, with what is left on its main thread, or on another.

use std::panic::catch_unwind;
use std::process::{Command, Output, Stdio, exit};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use straightline_sched as sched;

/// Leaves a fiber behind on the calling thread.
fn leave_a_fiber() {
    let left = sched::run(|| {
        drop(sched::spawn(|| {
            loop {
                let _ = catch_unwind(sched::park);
            }
        }));
        sched::yield_now();
        "returned"
    });
    assert_eq!(left.expect("the root was not given up"), "returned");
}

struct Prints;

impl Drop for Prints {
    fn drop(&mut self) {
        println!("a thread-local is gone");
    }
}

thread_local! {
    static VALUE: Prints = const { Prints };
}

/// A thread that goes on when the process ends, and may have borrowed anything.
fn start_a_thread() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        tell.send(()).expect("it is waited for");
        loop {
            thread::park();
        }
    });
    told.recv().expect("it begins");
}

/// The cases, by name.
fn run_case(case: &str) {
    VALUE.with(|_| ());
    match case {
        "alone" => leave_a_fiber(),
        "with another thread" => {
            start_a_thread();
            leave_a_fiber();
        }
        "nothing is left" => {
            start_a_thread();
            sched::run(|| ()).expect("a shard can be made");
        }
        "on a thread that exits" => {
            let exits = thread::spawn(|| {
                VALUE.with(|_| ());
                leave_a_fiber();
                exit(3);
            });
            let _ = exits.join();
        }
        "on a thread that ended" => {
            let (tell, told) = mpsc::channel();
            let ended = thread::spawn(move || {
                leave_a_fiber();
                tell.send(()).expect("somebody listens");
            });
            told.recv().expect("the shard has ended");
            drop(ended);
        }
        _ => unreachable!("no case of that name: {case}"),
    }
}

fn main() {
    if let Ok(case) = std::env::var(CASE) {
        return run_case(&case);
    }
    // Where it cannot be found out which other threads there are, there may be some.
    let alone = if cfg!(target_os = "linux") { (0, true) } else { (GIVEN_UP, false) };
    assert_ends("alone", alone);
    assert_ends("with another thread", (GIVEN_UP, false));
    assert_ends("nothing is left", (0, true));
    assert_ends("on a thread that exits", (GIVEN_UP, false));
    assert_ends("on a thread that ended", (0, true));
}

/// How a case ends: by which status, and whether the thread-locals of the thread that ends it are
/// destroyed. If not, that is told.
fn assert_ends(case: &str, (status, is_destroyed): (i32, bool)) {
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    let child = child.env(CASE, case).stdin(Stdio::null());
    let mut child =
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child process");
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > until {
            child.kill().expect("it is ours");
            panic!("{case}: the process does not end");
        }
        thread::sleep(Duration::from_millis(2)); // there is no wait with a timeout
    }
    let Output { status: ended, stdout, stderr } = child.wait_with_output().expect("its output");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(ended.code(), Some(status), "{case}: {ended:?}\n{out}{err}");
    assert_eq!(out.contains("is gone"), is_destroyed, "{case}: {out}{err}");
    assert_eq!(err.contains("the process ends with status 70"), !is_destroyed, "{case}: {err}");
}

/// What `sysexits.h` calls an internal error of the program.
const GIVEN_UP: i32 = 70;

const CASE: &str = "STRAIGHTLINE_TEST_CASE";
