//! Parts of files: each is sent as announced, alone or in the middle of a body, and a file that
//! changes meanwhile never looks whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, process, thread};

use crate::common::serve;
use straightline::{Request, Response};

fn pattern(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

/// A file that is removed when this is dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &[u8]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("straightline-part-{}-{number}", process::id()));
        fs::write(&path, content).expect("room on the disk");
        Self(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).expect("it was just written")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The part that the query names, as in `?5-10`.
fn asked(request: &Request) -> Range<u64> {
    let (start, end) = request.query().and_then(|query| query.split_once('-')).expect("a part");
    start.parse().expect("a number")..end.parse().expect("a number")
}

const PARTS: [Range<usize>; 8] = [
    0..0,
    0..1,
    7..19,
    1..16 * 1024 + 1,
    1..16 * 1024 + 2,
    100_000..1_900_000,
    1_999_999..2_000_000,
    0..2_000_000,
];

#[test]
fn a_part_of_a_file_is_sent_as_announced() {
    let content = pattern(2_000_000);
    let file = TempFile::new(&content);
    let server = serve(move |request: &mut Request| {
        Response::file_part(file.open(), asked(request)).expect("a part of the file")
    });
    let mut client = server.client();
    for part in PARTS {
        let answer = client.get(&format!("/?{}-{}", part.start, part.end));
        assert_eq!(answer.field("content-length"), Some(&*part.len().to_string()));
        assert!(answer.body == content[part.clone()], "{part:?}");
    }
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn a_part_that_is_not_in_the_file_is_no_response() {
    let file = TempFile::new(b"12345");
    #[allow(clippy::reversed_empty_ranges)]
    for part in [0..6, 6..7, 4..3, 0..u64::MAX] {
        let error = Response::file_part(file.open(), part.clone()).expect_err("it is not there");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{part:?}");
    }
    assert!(Response::file_part(file.open(), 5..5).is_ok());
}

#[test]
fn a_part_stands_in_the_middle_of_any_body() {
    let content = pattern(2_000_000);
    let file = TempFile::new(&content);
    let server = serve(move |request: &mut Request| {
        let (file, part) = (file.open(), asked(request));
        let length = part.end - part.start + 10;
        let response = Response::stream(move |_, body| {
            body.write_all(b"begin")?;
            body.send_file(&file, part)?;
            body.write_all(b"heend")
        });
        if request.path() == "/sized" { response.content_length(length) } else { response }
    });
    let mut client = server.client();
    for part in PARTS {
        let whole = [b"begin", &content[part.clone()], b"heend"].concat();
        let query = format!("{}-{}", part.start, part.end);
        assert!(client.get(&format!("/?{query}")).body == whole, "{part:?} in chunks");
        assert!(client.get(&format!("/sized?{query}")).body == whole, "{part:?} with a length");
        let mut old = server.client();
        let answer = old.ask(format!("GET /?{query} HTTP/1.0\r\n\r\n"));
        assert_eq!(answer.status, 200);
        assert!(old.rest() == whole, "{part:?} until the connection closes");
    }
}

#[test]
fn a_writer_that_is_not_the_client_gets_the_same() {
    let file = TempFile::new(&pattern(200_000));
    let open = file.open();
    let response = Response::stream(move |_, body| {
        body.write_all(b"<")?;
        body.send_file(&open, 10..150_000)?;
        body.write_all(b">")
    });
    let mut request = Request::builder().build().expect("a request");
    let mut bytes = Vec::new();
    response.into_body().write_to(&mut request, &mut bytes).expect("room in memory");
    assert!(bytes == [b"<", &pattern(200_000)[10..150_000], b">"].concat());

    let part = Response::file_part(file.open(), 0..200_000).expect("a part");
    fs::write(&file.0, "short").expect("room on the disk");
    let mut bytes = Vec::new();
    let error = part.into_body().write_to(&mut request, &mut bytes).expect_err("it is shorter");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_file_that_changes_after_its_length_was_announced_never_looks_whole() {
    let file = TempFile::new(&[]);
    let path = file.0.clone();
    let server = serve(move |request: &mut Request| {
        fs::write(&path, pattern(1_000_000)).expect("room on the disk");
        let sent = File::open(&path).expect("it was just written");
        let change = match request.path() {
            "/shrinks" => 400_000,
            "/vanishes" => 0,
            _ => 3_000_000,
        };
        let resized = File::options().write(true).open(&path).expect("it is there");
        let response = match request.query() {
            Some("chunked") => {
                let resized = resized.try_clone().expect("a descriptor");
                return Response::stream(move |_, body| {
                    resized.set_len(change)?;
                    let _ignored = body.send_file(&sent, 300_000..1_000_000);
                    Ok(())
                });
            }
            _ => Response::file_part(sent, 300_000..1_000_000).expect("a part"),
        };
        resized.set_len(change).expect("room on the disk");
        response
    });
    for query in ["", "?chunked"] {
        let grown = server.client().get(&format!("/grows{query}"));
        assert!(grown.body == pattern(1_000_000)[300_000..], "{query}");
        for path in ["/shrinks", "/vanishes"] {
            let before = server.handle.counters().failed_responses;
            let mut client = server.client();
            client.send(format!("GET {path}{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
            while server.handle.counters().failed_responses == before {
                thread::yield_now();
            }
            let received = drained(&mut client);
            assert!(received.len() < 700_000, "{path}{query}: it ended early");
            assert!(!received.ends_with(b"\r\n0\r\n\r\n"), "{path}{query}: no last chunk");
        }
    }
}

/// Everything until the end of the connection, which may be a reset.
fn drained(client: &mut crate::common::Client) -> Vec<u8> {
    let mut received = Vec::new();
    let _reset = std::io::Read::read_to_end(&mut client.stream, &mut received);
    received
}
