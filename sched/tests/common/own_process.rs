//! Runs a test in a process of its own: the test starts itself again in a child process, where no
//! other test runs.
//!
//! A test needs this if it counts, uses up or breaks something of the whole process: descriptors,
//! memory, signals, the panic hook, the process itself. The other tests of its program run at the
//! same time, in other threads of one process.

use std::any;
use std::env;
use std::process::{self, Command, Output};

/// Runs `body` in a child process, where it must return.
pub(crate) fn in_a_process<F: FnOnce()>(body: F) {
    let output = child(body);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {stdout}{stderr}", output.status);
}

/// Runs `body` in a child process, and returns how that process ended: with status 0 if `body`
/// returned.
pub(crate) fn child<F: FnOnce()>(body: F) -> Output {
    child_with(&[], body)
}

/// As [`child`], with more variables in its environment.
pub(crate) fn child_with<F: FnOnce()>(variables: &[(&str, &str)], body: F) -> Output {
    if env::var_os(CHILD).is_some() {
        body();
        process::exit(0);
    }
    let mut child = Command::new(env::current_exe().expect("this program"));
    child.args([test_around::<F>(), "--exact", "--nocapture"]).env(CHILD, "1");
    child.envs(variables.iter().copied()).output().expect("a child process")
}

/// The name of the test that `F` is a closure of, as the program's arguments take it.
fn test_around<F>() -> &'static str {
    let path = any::type_name::<F>();
    let path = path.split_once("::{{closure}}").expect("a closure of a test").0;
    path.split_once("::").expect("the program's name comes first").1
}

/// Set in a child process.
const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";
