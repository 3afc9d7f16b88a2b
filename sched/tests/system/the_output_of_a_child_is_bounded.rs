//! `output` reads both pipes as they fill, up to its limit.

use std::io::ErrorKind;

use crate::common::run;
use straightline_sched::process::{Command, Stdio};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn both_pipes_are_read_as_they_fill() {
    run(|| {
        // Each part is more than a pipe has room for.
        let part = "head -c 300000 /dev/zero";
        let script = format!("{part}; {part} >&2; {part}; {part} >&2; exit 5");
        let output = shell(&script).output().unwrap();
        assert_eq!(output.status.code(), Some(5));
        assert_eq!((output.stdout.len(), output.stderr.len()), (600_000, 600_000));
    });
}

#[test]
fn one_more_byte_than_the_limit_is_an_error() {
    run(|| {
        for (redirection, name) in [("", "standard output"), (" >&2", "standard error")] {
            for count in [99_999, 100_000, 100_001] {
                let script = format!("head -c {count} /dev/zero{redirection}");
                let result = shell(&script).output_limit(100_000).output();
                if count <= 100_000 {
                    let output = result.unwrap();
                    assert_eq!(output.stdout.len() + output.stderr.len(), count);
                } else {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
                    let text = format!("more than 100000 bytes to its {name}");
                    assert!(error.to_string().contains(&text), "{error}");
                }
            }
        }
    });
}

#[test]
fn a_child_without_end_meets_the_default_limit() {
    run(|| {
        let error = Command::new("yes").output().unwrap_err();
        assert!(error.to_string().contains("16777216"), "{error}");
    });
}

#[test]
fn a_stream_that_is_not_piped_is_empty() {
    run(|| {
        let output = shell("echo a; echo b >&2").stderr(Stdio::null()).output().unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"a\n"[..], &b""[..]));
        let output = Command::new("cat").output().unwrap(); // its input is empty
        assert!(output.status.success() && output.stdout.is_empty());
    });
}

#[test]
fn the_end_of_the_output_comes_before_the_end_of_the_child() {
    run(|| {
        let output = shell("echo done; exec >&- 2>&-; sleep 0.05; exit 4").output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(output.stdout, b"done\n");
    });
}
