//! The variables for the stack guards and for the guard of a thread's end are checked, like the
//! variable for the driver. If a test asks for a kind that does not exist, it must not run with
//! another kind.

use std::env;
use std::process::Command;

use straightline_sched as sched;

/// Whether a process with this variable runs a shard, and the output of the process.
fn runs_with(variable: &str, value: &str) -> (bool, String) {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command.args([
        concat!(module_path!(), "::child").split_once("::").expect("a module").1,
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    let output = command.env(CHILD, "1").env(variable, value).output().expect("a child process");
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output_text}{}", String::from_utf8_lossy(&output.stderr));
    (output_text.contains("it ran"), output_text)
}

#[test]
fn an_unknown_kind_of_stack_guards_is_an_error() {
    assert!(runs_with("STRAIGHTLINE_STACK_GUARDS", "mappings").0);
    for value in ["none", ""] {
        let (ran, output_text) = runs_with("STRAIGHTLINE_STACK_GUARDS", value);
        assert!(
            !ran && output_text.contains(&format!("STRAIGHTLINE_STACK_GUARDS is `{value}`")),
            "{output_text}"
        );
    }
}

#[test]
fn an_unknown_guard_of_a_threads_end_is_an_error() {
    assert!(runs_with("STRAIGHTLINE_THREAD_END", "thread-local").0);
    let (ran, output_text) = runs_with("STRAIGHTLINE_THREAD_END", "never");
    assert!(!ran && output_text.contains("STRAIGHTLINE_THREAD_END is `never`"), "{output_text}");
}

#[test]
#[ignore = "what other tests start as a process"]
fn child() {
    if env::var_os(CHILD).is_some() {
        match sched::run_with(sched::Config::default(), || ()) {
            Ok(()) => println!("it ran"),
            Err(error) => println!("{error}"),
        }
    }
}

const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";
