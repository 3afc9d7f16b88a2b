//! A process ends although fibers are left in it. If such a fiber may have lent a thread-local to
//! another thread, the process does not destroy the thread-locals, and prints a message.
//!
//! Each case runs in a child process. The fibers are left on its main thread, or on another one.

use std::panic::catch_unwind;
use std::process::{Output, exit};
use std::sync::mpsc;
use std::thread;

use crate::case::output_of;
use straightline_sched as sched;

pub(crate) fn test() {
    // On a system that does not list the threads of a process, the process assumes other threads.
    let alone = if cfg!(target_os = "linux") { (0, true) } else { (ABANDONED, false) };
    assert_ends("alone", alone);
    assert_ends("with another thread", (ABANDONED, false));
    assert_ends("nothing is left", (0, true));
    assert_ends("on a thread that exits", (ABANDONED, false));
    assert_ends("on a thread that ended", (0, true));
}

/// Leaves a fiber behind on the calling thread.
fn leave_a_fiber() {
    let left = sched::run_with(sched::Config::default(), || {
        drop(sched::spawn(|| {
            loop {
                let _ = catch_unwind(sched::park);
            }
        }));
        sched::yield_now();
        "returned"
    });
    assert_eq!(left.expect("the root was not abandoned"), "returned");
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

/// Starts a thread that still runs when the process ends, and may have borrowed any value.
fn start_a_thread() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        sender.send(()).expect("the caller waits for this");
        loop {
            thread::park();
        }
    });
    receiver.recv().expect("the thread begins");
}

/// The cases, by name.
pub(crate) fn run_case(case: &str) {
    VALUE.with(|_| ());
    match case {
        "alone" => leave_a_fiber(),
        "with another thread" => {
            start_a_thread();
            leave_a_fiber();
        }
        "nothing is left" => {
            start_a_thread();
            sched::run(|| ());
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
            let (sender, receiver) = mpsc::channel();
            let ended = thread::spawn(move || {
                leave_a_fiber();
                sender.send(()).expect("the caller waits for this");
            });
            receiver.recv().expect("the shard has ended");
            drop(ended);
        }
        _ => unreachable!("no case of that name: {case}"),
    }
}

/// Checks the exit status of a case, and whether the thread that ends the process destroys its
/// thread-locals. If it does not, the process prints a message.
fn assert_ends(case: &str, (status, is_destroyed): (i32, bool)) {
    let Output { status: ended, stdout, stderr } = output_of(case);
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(
        ended.code(),
        Some(status),
        "{case}: {ended:?}
{out}{err}"
    );
    assert_eq!(out.contains("is gone"), is_destroyed, "{case}: {out}{err}");
    assert_eq!(err.contains("the process ends with status 70"), !is_destroyed, "{case}: {err}");
}

/// The status of an internal error of the program in `sysexits.h`.
const ABANDONED: i32 = 70;
