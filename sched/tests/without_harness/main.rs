//! Tests for which the threads of a process count, or what runs on its main thread. libtest has
//! threads of its own, and keeps the main one: so this is a plain program, which fails by a panic.
//!
//! A test that needs a child process starts this program again, with the name of a case in a
//! variable.

mod a_process_ends_although_fibers_are_left;
mod a_program_that_cannot_go_on_is_reported;
mod a_wait_for_another_process_is_no_deadlock;

use std::env;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    match env::var(CASE).as_deref() {
        Ok(a_program_that_cannot_go_on_is_reported::CASE) => {
            a_program_that_cannot_go_on_is_reported::run_case();
        }
        Ok(case) => a_process_ends_although_fibers_are_left::run_case(case),
        Err(_) => {
            a_process_ends_although_fibers_are_left::test();
            a_program_that_cannot_go_on_is_reported::test();
            a_wait_for_another_process_is_no_deadlock::test();
        }
    }
}

/// How a child process ends that runs the case of that name, and what it has printed.
fn output_of(case: &str) -> Output {
    let mut child = Command::new(env::current_exe().expect("this program"));
    let child = child.env(CASE, case).stdin(Stdio::null());
    let mut child =
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child process");
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("it is a child of this process").is_none() {
        if Instant::now() > until {
            child.kill().expect("it is a child of this process");
            panic!("{case}: the process does not end");
        }
        thread::sleep(Duration::from_millis(2)); // there is no wait with a timeout
    }
    child.wait_with_output().expect("its output")
}

const CASE: &str = "STRAIGHTLINE_TEST_CASE";
