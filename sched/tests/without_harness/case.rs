//! A case that runs in a process of its own.

use std::env;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs the case of this name in a child process. Returns the exit status and the output of the
/// process.
pub(crate) fn output_of(case: &str) -> Output {
    let mut child = Command::new(env::current_exe().expect("this program"));
    let child = child.env(CASE, case).stdin(Stdio::null());
    let mut child =
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child process");
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("a child of this process").is_none() {
        if Instant::now() > until {
            child.kill().expect("a child of this process");
            panic!("{case}: the process does not end");
        }
        thread::sleep(Duration::from_millis(2)); // std has no wait with a timeout
    }
    child.wait_with_output().expect("its output")
}

pub(crate) const CASE: &str = "STRAIGHTLINE_TEST_CASE";
