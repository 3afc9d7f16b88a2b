//! What the environment may say of stack guards and of a thread's end is checked, as of the driver:
//! a test that asks for what there is not must not run with something else.

use std::env;
use std::process::Command;

use straightline_sched as sched;

/// Whether a process with that variable runs a shard, and what it says.
fn runs_with(variable: &str, value: &str) -> (bool, String) {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command.args(["child", "--exact", "--ignored", "--nocapture"]);
    let output = command.env(CHILD, "1").env(variable, value).output().expect("a child process");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    (out.contains("it ran"), out)
}

#[test]
fn guards_are_of_a_kind_that_there_is() {
    assert!(runs_with("STRAIGHTLINE_STACK_GUARDS", "mappings").0);
    for value in ["none", ""] {
        let (ran, out) = runs_with("STRAIGHTLINE_STACK_GUARDS", value);
        assert!(!ran && out.contains(&format!("STRAIGHTLINE_STACK_GUARDS is `{value}`")), "{out}");
    }
}

#[test]
fn so_is_what_keeps_a_thread() {
    assert!(runs_with("STRAIGHTLINE_THREAD_END", "thread-local").0);
    let (ran, out) = runs_with("STRAIGHTLINE_THREAD_END", "never");
    assert!(!ran && out.contains("STRAIGHTLINE_THREAD_END=never"), "{out}");
}

#[test]
#[ignore = "what other tests start as a process"]
fn child() {
    if env::var_os(CHILD).is_some() {
        match sched::run(|| ()) {
            Ok(()) => println!("it ran"),
            Err(error) => println!("{error}"),
        }
    }
}

const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";
