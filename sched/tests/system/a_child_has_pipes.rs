//! The pipes of a child are streams of the fiber.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use crate::common::run;
use crate::scratch::Scratch;
use straightline_sched as sched;
use straightline_sched::process::{Child, Command, Stdio};
use straightline_sched::sync::{Flag, select};

fn piped(program: &str, args: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("the program is there")
}

#[test]
fn a_conversation_goes_to_and_fro() {
    run(|| {
        let mut child = piped("cat", &[]);
        let mut to = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        for number in 0..100 {
            writeln!(to, "{number}").unwrap();
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{number}\n"));
        }
        let count = to.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap();
        assert_eq!(count, 7);
        drop(to);
        let mut rest = String::new();
        from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "one two");
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_full_pipe_makes_its_writer_wait_and_no_other_fiber() {
    run(|| {
        let mut child = piped("sh", &["-c", "read line; cat"]);
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let writer = sched::spawn(move || to.write_all(&vec![b'x'; 500_000]));
        for _ in 0..100 {
            sched::yield_now();
        }
        assert!(!writer.is_finished()); // the shell looks for the end of a line in all of it
        drop(writer);
        child.kill().unwrap();
        from.read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn a_child_that_reads_no_more_is_a_broken_pipe() {
    run(|| {
        let mut child = piped("true", &[]);
        let mut to = child.stdin.take().unwrap();
        child.wait().unwrap();
        assert_eq!(to.write_all(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_child_that_closes_its_output_goes_on() {
    run(|| {
        let mut child = piped("sh", &["-c", "echo last; exec >&-; read line; exit 6"]);
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, "last\n");
        assert!(child.try_wait().unwrap().is_none());
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(6));
    });
}

#[test]
fn a_read_that_is_cancelled_takes_nothing() {
    run(|| {
        let mut child = piped("cat", &[]);
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut byte = [0];
        assert!(sched::deadline(Duration::from_millis(5), || from.read(&mut byte)).is_err());
        to.write_all(b"!").unwrap();
        assert_eq!(from.read(&mut byte).unwrap(), 1);
        assert_eq!(byte, *b"!");
    });
}

#[test]
fn a_pipe_is_a_thing_to_select_on() {
    run(|| {
        let mut child = piped("cat", &[]);
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let stop = Flag::new();
        assert_eq!(select(&[&stop, &to.writable()]), Ok(1));
        to.write_all(b"!").unwrap();
        assert_eq!(select(&[&stop, &from.readable()]), Ok(1));
    });
}

#[test]
fn files_and_pipes_of_other_children_are_standard_streams() {
    run(|| {
        let scratch = Scratch::new();
        fs::write(scratch.join("in"), "b\na\n").unwrap();
        let input = sched::fs::File::open(scratch.join("in")).unwrap();
        let output = sched::fs::File::create(scratch.join("out")).unwrap();
        let mut first = Command::new("sort").stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        let mut second = Command::new("cat");
        second.stdin(first.stdout.take().unwrap()).stdout(output);
        assert!(second.status().unwrap().success());
        assert!(first.wait().unwrap().success());
        assert_eq!(fs::read(scratch.join("out")).unwrap(), b"a\nb\n");
    });
}

#[test]
fn a_descriptor_that_is_taken_out_blocks_again() {
    run(|| {
        let mut child = piped("sh", &["-c", "read line; echo $line"]);
        let from = child.stdout.take().unwrap().into_owned_fd().unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        let mut text = String::new();
        fs::File::from(from).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello\n");
        child.wait().unwrap();
    });
}
