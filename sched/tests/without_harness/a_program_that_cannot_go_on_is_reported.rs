//! A program whose only thread has fibers that all wait for each other reports them.
//!
//! Without the test harness, which has threads of its own: this program is both the test and,
//! called with an argument, the child that it watches.

use std::process::Command;
use std::time::Duration;

use straightline_sched::{self as sched, Builder, Config, Reporter};

fn main() {
    if std::env::args().any(|argument| argument == CHILD) {
        wait_for_each_other();
    }
    if !cfg!(target_os = "linux") {
        return; // elsewhere nobody counts the threads
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .arg(CHILD)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(17), "{text}");
    for part in [
        "nobody is left to wake them",
        "fiber `reader`",
        "Receiver::recv",
        "fiber `root`",
        "the end of fiber `reader`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn wait_for_each_other() {
    let config = Config {
        stall_limit: Some(Duration::from_millis(50)),
        reporter: Reporter::new(|report| {
            eprintln!("{report}");
            std::process::exit(17);
        }),
        ..Config::default()
    };
    let outcome = sched::run_with(config, || {
        let (sender, receiver) = sched::sync::mpsc::unbounded::<()>();
        let reader = Builder::new().name("reader").spawn(move || receiver.recv().is_ok());
        // Nobody sends, and the sender is not dropped while the root waits for the reader.
        let read = reader.expect("there are stacks").join();
        drop(sender);
        read.is_ok()
    });
    unreachable!("the reporter ends the process: {outcome:?}");
}

const CHILD: &str = "--child";
