//! Parts of a representation: one, several, none, and those that do not count.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use crate::common::{Answer, serve};
use straightline::web::{EntityTag, Ranged, Validators};
use straightline::{Method, Request, Response};

const DATE: &str = "Thu, 01 Jan 1970 00:16:40 GMT";

fn alphabet(request: &mut Request) -> Response {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let tag = match request.query() {
        Some("weak") => EntityTag::weak("x"),
        _ => EntityTag::strong("x"),
    };
    let validators = Validators::new().with_etag(tag).with_last_modified(changed);
    let ranged = Ranged::new(Cursor::new("abcdefghijklmnopqrstuvwxyz")).expect("it has an end");
    ranged.with_content_type("text/plain").with_validators(validators).respond(request)
}

fn ask(target: &str, fields: &str) -> Answer {
    let server = serve(alphabet);
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    server.client().ask(request)
}

#[test]
fn one_part_is_sent_alone() {
    for (range, part, body) in [
        ("bytes=0-0", "0-0", "a"),
        ("bytes=2-4", "2-4", "cde"),
        ("bytes=23-", "23-25", "xyz"),
        ("bytes=-2", "24-25", "yz"),
        ("bytes=0-99", "0-25", "abcdefghijklmnopqrstuvwxyz"),
        ("bytes=2-4,3-5,4-4", "2-5", "cdef"),
        ("bytes=99-,1-1", "1-1", "b"),
    ] {
        let answer = ask("/", &format!("Range: {range}\r\n"));
        assert_eq!((answer.status, answer.text()), (206, body), "{range}");
        let content_range = format!("bytes {part}/26");
        assert_eq!(answer.field("content-range"), Some(&*content_range), "{range}");
        assert_eq!(answer.field("content-length"), Some(&*body.len().to_string()));
        assert_eq!(answer.field("content-type"), Some("text/plain"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("etag"), Some("\"x\""));
        assert_eq!(answer.field("last-modified"), Some(DATE));
    }
}

/// The parts of a `multipart/byteranges`: their `Content-Range` and their bytes.
fn parts(answer: &Answer) -> Vec<(String, String)> {
    let media_type = answer.field("content-type").expect("a type");
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    assert!(boundary.len() >= 32, "{boundary}");
    let text = answer.text().strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("an end");
    let text = format!("\r\n{text}");
    let delimiter = format!("\r\n--{boundary}\r\n");
    let mut pieces = text.split(&delimiter);
    assert_eq!(pieces.next(), Some(""));
    pieces
        .map(|piece| {
            let (head, body) = piece.split_once("\r\n\r\n").expect("a head");
            let lines: Vec<_> = head.split("\r\n").collect();
            assert_eq!((lines.len(), lines[0]), (2, "Content-Type: text/plain"));
            let range = lines[1].strip_prefix("Content-Range: bytes ").expect("a range");
            (range.to_owned(), body.to_owned())
        })
        .collect()
}

#[test]
fn several_parts_are_sent_together() {
    for (range, expected) in [
        ("bytes=0-0,2-3", &[("0-0/26", "a"), ("2-3/26", "cd")][..]),
        ("bytes=-1, 0-1 ,5-5", &[("25-25/26", "z"), ("0-1/26", "ab"), ("5-5/26", "f")]),
        ("bytes=4-6,0-0,5-8", &[("4-8/26", "efghi"), ("0-0/26", "a")]),
    ] {
        let answer = ask("/", &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.field("content-range"), None);
        assert_eq!(answer.field("content-length"), Some(&*answer.body.len().to_string()));
        let parts = parts(&answer);
        let parts: Vec<_> = parts.iter().map(|(range, body)| (&**range, &**body)).collect();
        assert_eq!(parts, expected, "{range}");
    }
    let boundary = || ask("/", "Range: bytes=0-0,2-2\r\n").field("content-type").map(str::to_owned);
    assert_ne!(boundary(), boundary());
}

#[test]
fn what_does_not_count_gets_the_whole() {
    for fields in [
        "",
        "Range: bytes=5-2\r\n",
        "Range: bytes=a\r\n",
        "Range: lines=0-0\r\n",
        "Range: bytes=0-0\r\nRange: bytes=1-1\r\n",
        "Range: bytes=0-0\r\nIf-Range: \"other\"\r\n",
        "Range: bytes=0-0\r\nIf-Range: W/\"x\"\r\n",
        "Range: bytes=0-0\r\nIf-Range: \"x\", \"y\"\r\n",
        "Range: bytes=0-0\r\nIf-Range: \"x\"\r\nIf-Range: \"x\"\r\n",
        "Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 1970 00:16:41 GMT\r\n",
        "Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 1970 00:16:39 GMT\r\n",
        "Range: bytes=0-0\r\nIf-Range: nonsense\r\n",
        "Range: bytes=99-\r\nIf-Range: \"other\"\r\n",
        &format!("Range: bytes={}\r\n", "0-0,2-2,".repeat(1000)),
    ] {
        let answer = ask("/", fields);
        assert_eq!((answer.status, answer.body.len()), (200, 26), "{fields}");
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("content-range"), None);
    }
    let weak = ask("/?weak", "Range: bytes=0-0\r\nIf-Range: W/\"x\"\r\n");
    assert_eq!(weak.status, 200, "a weak tag says nothing about bytes");
}

#[test]
fn if_range_with_the_present_state_counts() {
    for validator in ["\"x\"", DATE] {
        let answer = ask("/", &format!("Range: bytes=0-0\r\nIf-Range: {validator}\r\n"));
        assert_eq!((answer.status, answer.text()), (206, "a"), "{validator}");
    }
}

#[test]
fn a_part_that_does_not_exist_is_a_416() {
    for range in ["bytes=26-", "bytes=26-30,99-", "bytes=-0", "bytes=99999999999999999999-"] {
        let answer = ask("/", &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.field("content-range"), Some("bytes */26"));
    }
}

#[test]
fn conditions_come_before_ranges() {
    for (fields, status) in [
        ("If-None-Match: \"x\"\r\n", 304),
        ("If-Match: \"y\"\r\n", 412),
        ("If-Match: \"x\"\r\n", 206),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:16:40 GMT\r\n", 304),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:16:39 GMT\r\n", 412),
    ] {
        let server = serve(alphabet);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n{fields}\r\n");
        let answer = server.client().send(request).receive_with(status != 304);
        assert_eq!(answer.status, status, "{fields}");
    }
}

#[test]
fn only_get_has_ranges() {
    let server = serve(alphabet);
    let mut client = server.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n");
    let answer = client.receive_with(false);
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("26")));
    assert_eq!(answer.field("accept-ranges"), Some("bytes"));
    let post = Request::builder().method(Method::POST).header("range", "bytes=0-0").build();
    assert_eq!(alphabet(&mut post.expect("a request")).status(), 200);
}

/// Says that it has more bytes than it has.
struct Shrinking(Cursor<&'static str>);

impl Read for Shrinking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Shrinking {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::End(0) => Ok(100),
            to => self.0.seek(to),
        }
    }
}

#[test]
fn a_source_that_has_become_shorter_never_looks_whole() {
    let parts: [Range<u64>; 2] = [0..10, 50..60];
    for part in parts {
        let mut request = Request::builder()
            .header("range", format!("bytes={}-{}", part.start, part.end - 1))
            .build()
            .expect("a request");
        let source = Shrinking(Cursor::new("0123456789-0123456789"));
        let response = Ranged::new(source).expect("it has an end").respond(&request);
        assert_eq!(response.status(), 206);
        let mut body = Vec::new();
        let written = response.into_body().write_to(&mut request, &mut body);
        assert_eq!(written.is_ok(), part.start == 0);
    }
}
