//! Uploads become files when they are complete; others leave nothing.

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Folder, PATIENCE, Process, ask, connect, status};

#[test]
fn uploads_become_files_when_they_are_complete() {
    let folder = Folder::new();
    let program = Process::program("uploads", &[&folder.path("")]);
    let address = &program.address;
    let body = "a line of some length\n".repeat(100_000);
    let (head, answer) = ask(address, "PUT /a.txt", "Content-Type: text/plain\r\n", &body);
    let expected = format!("a.txt: {} bytes of text/plain\n", body.len());
    assert_eq!((status(&head), &*answer), ("201", &*expected));
    assert_eq!(fs::read_to_string(folder.path("a.txt")).expect("a file"), body);

    for target in ["/", "/.hidden", "/../a.txt", "/b/c"] {
        assert_eq!(status(&ask(address, &format!("PUT {target}"), "", "b").0), "404", "{target}");
    }
    assert_eq!(status(&ask(address, "POST /a.txt", "", "b").0), "405");

    let mut too_long = connect(address);
    let head = "PUT /long HTTP/1.1\r\nHost: a\r\nContent-Length: 16777217\r\n\r\n";
    too_long.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    too_long.read_to_string(&mut answer).expect("it answers");
    assert_eq!(status(&answer), "413");

    let mut too_long = connect(address);
    let head = "PUT /long HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n";
    too_long.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    too_long.read_to_string(&mut answer).expect("it answers");
    assert_eq!(status(&answer), "413", "without an announced length");

    let mut half = connect(address);
    let head = "PUT /half HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf";
    half.write_all(head.as_bytes()).expect("it reads");
    let wait_for_files = |count| {
        let begin = Instant::now();
        while fs::read_dir(&folder.0).expect("the folder").count() != count {
            assert!(begin.elapsed() < PATIENCE, "not {count} files");
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for_files(2); // the part of the half upload
    drop(half);
    wait_for_files(1);
    program.stop();
}
