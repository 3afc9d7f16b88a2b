//! A program whose only thread has fibers that all wait for each other reports them.

use std::time::Duration;

use crate::case::output_of;
use straightline_sched::{self as sched, Config, FiberBuilder, Reporter};

pub(crate) fn test() {
    if !cfg!(target_os = "linux") {
        return; // on other systems the threads of a process are not counted
    }
    let output = output_of(CASE);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(17), "{text}");
    for part in [
        "no thread is left to wake them",
        "fiber `reader`",
        "Receiver::recv",
        "fiber `root`",
        "the end of fiber `reader`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Runs fibers that wait for each other.
pub(crate) fn run_case() {
    let config = Config::default().with_stall_limit(Some(Duration::from_millis(50))).with_reporter(
        Reporter::new(|report| {
            eprintln!("{report}");
            std::process::exit(17);
        }),
    );
    let outcome = sched::run_with(config, || {
        let (sender, receiver) = sched::sync::mpsc::unbounded::<()>();
        let reader = FiberBuilder::new().name("reader").spawn(move || receiver.recv().is_ok());
        // The sender sends nothing, and is not dropped while the root waits for the reader.
        let read = reader.expect("there are stacks").join();
        drop(sender);
        read.is_ok()
    });
    unreachable!("the reporter ends the process: {outcome:?}");
}

pub(crate) const CASE: &str = "fibers that wait for each other";
