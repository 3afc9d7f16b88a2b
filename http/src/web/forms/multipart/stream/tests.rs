//! Bodies cut at every byte, look-alikes of boundaries, limits, and a plain reader to compare with.

use std::io;

use quickcheck::{Gen, QuickCheck};

use super::*;

/// A part as it was read: name, filename, content.
type Seen = (String, Option<String>, Vec<u8>);

/// Returns the bytes in pieces of the given sizes, over and over.
struct InPieces<'b> {
    bytes: &'b [u8],
    sizes: &'b [usize],
    at: usize,
}

impl Read for InPieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.at % self.sizes.len()].max(1);
        self.at += 1;
        let count = size.min(buffer.len()).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.bytes = rest;
        Ok(count)
    }
}

fn read_all(stream: &mut PartStream<'_>) -> Result<Vec<Seen>, BodyError> {
    let mut parts = Vec::new();
    while let Some(head) = stream.next_head()? {
        let mut content = Vec::new();
        loop {
            let piece = stream.peek()?;
            if piece.is_empty() {
                break;
            }
            content.extend_from_slice(piece);
            let count = piece.len();
            stream.take(count);
        }
        parts.push((head.name, head.filename, content));
    }
    Ok(parts)
}

fn read_in_pieces(
    bytes: &[u8],
    boundary: &str,
    limits: &MultipartLimits,
    sizes: &[usize],
) -> Result<Vec<Seen>, BodyError> {
    let source = InPieces { bytes, sizes, at: 0 };
    let stream = PartStream::new(source, boundary.as_bytes(), limits.clone(), 256, |_| true);
    read_all(&mut stream?)
}

fn read(body: &str) -> Result<Vec<Seen>, BodyError> {
    read_in_pieces(body.as_bytes(), "b", &MultipartLimits::default(), &[usize::MAX])
}

const HEAD: &str = "Content-Disposition: form-data; name=a\r\n\r\n";

fn one(content: &[u8]) -> Vec<Seen> {
    vec![("a".to_owned(), None, content.to_vec())]
}

/// A body with one part, in every split into two pieces and byte by byte.
fn content_at_every_split(boundary: &str, content: &[u8]) {
    let (begin, end) = (format!("--{boundary}\r\n{HEAD}"), format!("\r\n--{boundary}--\r\n"));
    let body = [begin.as_bytes(), content, end.as_bytes()].concat();
    let limits = MultipartLimits::default();
    for split in 1..body.len() {
        let parts = read_in_pieces(&body, boundary, &limits, &[split, usize::MAX]);
        assert_eq!(parts, Ok(one(content)), "split at {split} of {:?}", body.escape_ascii());
    }
    assert_eq!(read_in_pieces(&body, boundary, &limits, &[1]), Ok(one(content)));
}

#[test]
fn what_looks_like_a_boundary_is_content_at_every_split() {
    for boundary in ["b", "--b", "----WebKitFormBoundaryABCDEFGHIJKLMNOP", &"-".repeat(70)] {
        let looks = [
            String::new(),
            "\r".to_owned(),
            "\n".to_owned(),
            "\r\n".to_owned(),
            "\r\n\r\n".to_owned(),
            "\r\r\n-".to_owned(),
            "\r\n--".to_owned(),
            format!("x--{boundary}"),
            format!("x--{boundary}--"),
            format!("x--{boundary}\r\nx"),
            format!("--{boundary}x\r\n"),
            format!("\n--{boundary}\n"),
            format!("\r--{boundary}\r"),
            format!("\r\n-{boundary}\r\n"),
            format!("\r\n--{}", &boundary[..boundary.len() - 1]),
            format!("\r\n--{}\r\n--", &boundary[..boundary.len() - 1]),
            format!("\r\n--{boundary}x\r\n"),
            format!("\r\n--{boundary}-x\r\n"),
            format!("\r\n--{boundary}--x\r\n"),
            format!("\r\n --{boundary}\r\n"),
            format!("\r\n--x{boundary}\r\n"),
            format!("\r\n-\r\n--\r\n--{boundary}x\r\n--{boundary}"),
        ];
        for look in &looks {
            // With such a boundary a dash more or less makes another delimiter.
            if boundary.starts_with("-----") && look.contains(&boundary[1..]) {
                continue;
            }
            // The end of the content meets the delimiter behind it.
            let ends_open = look.ends_with(boundary) && look.contains("\r\n--");
            let look = if ends_open { format!("{look}x") } else { look.clone() };
            content_at_every_split(boundary, look.as_bytes());
        }
    }
}

#[test]
fn the_empty_line_of_a_head_may_begin_the_next_delimiter() {
    // RFC 2046 section 5.1.1: `body-part := MIME-part-headers [CRLF *OCTET]`.
    let head = "Content-Disposition: form-data; name=a\r\n\r\n";
    let body = format!("--b\r\n{head}--b\r\n{head}1\r\n--b\r\n{head}--b--");
    let part = |content: &str| ("a".to_owned(), None, content.as_bytes().to_vec());
    for size in [1, 2, 3, 5, 7, usize::MAX] {
        let limits = MultipartLimits::default();
        let parts = read_in_pieces(body.as_bytes(), "b", &limits, &[size]);
        assert_eq!(parts, Ok(vec![part(""), part("1"), part("")]), "{size}");
    }
}

#[test]
fn parts_are_found() {
    let part =
        |name: &str, content: &str| (name.to_owned(), None::<String>, content.as_bytes().to_vec());
    let named = |name: &str| format!("Content-Disposition: form-data; name={name}\r\n\r\n");
    let two = format!("--b\r\n{}1\r\n--b\t \r\n{}2\r\n--b-- \r\n", named("x"), named("y"));
    assert_eq!(read(&two), Ok(vec![part("x", "1"), part("y", "2")]));
    let around = format!("before\r\n--b\r\n{HEAD}\r\n--b--\r\nbehind\r\n--b\r\n");
    assert_eq!(read(&around), Ok(one(b"")));
    assert_eq!(read("--b--"), Ok(vec![]));
    assert_eq!(read("--b--\r\n"), Ok(vec![]));
    assert_eq!(read("\r\n--b--\r\n"), Ok(vec![]));
}

#[test]
fn malformed_bodies_are_told_from_those_without_parts() {
    let cases = [
        String::new(),
        "\r\n".to_owned(),
        "text".to_owned(),
        "--b".to_owned(),
        "--b-".to_owned(),
        "--b\r".to_owned(),
        "--b\r\n".to_owned(),
        "--b\r\nContent-Dispo".to_owned(),
        "--b\r\nContent-Disposition: form-data; name=a\r\n".to_owned(),
        format!("--b\r\n{HEAD}"),
        format!("--b\r\n{HEAD}x"),
        format!("--b\r\n{HEAD}x\r\n--b"),
        format!("--b\r\n{HEAD}x\r\n--b-"),
        format!("--b\r\n{HEAD}x\r\n--b\r\n"),
        format!("--b\n{HEAD}x\r\n--b--"),
        format!("--b\r\n{HEAD}x\r\n--b\n--b--"),
        format!("--b\r\n{HEAD}x\r\n--b\rx\r\n--b--"),
        format!("--b\r\n{HEAD}x\r\n--b--\rx"),
        format!("--b\r\n{HEAD}x\r\n--b--\nx"),
        format!("--b\r\n{HEAD}x\r\n--b y\r\n--b--"),
        format!("--b\r\n{HEAD}x\r\n--b{}\r\n--b--", " ".repeat(1000)),
        "--b\r\n\r\nx\r\n--b--".to_owned(),
        "--b\r\n--b--".to_owned(),
        "--c\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--c--".to_owned(),
        format!("--b\n{}x\n--b--\n", HEAD.replace("\r\n", "\n")),
    ];
    for body in &cases {
        for sizes in [&[usize::MAX][..], &[1], &[3, 2]] {
            let limits = MultipartLimits::default();
            let parts = read_in_pieces(body.as_bytes(), "b", &limits, sizes);
            assert!(matches!(parts, Err(BodyError::Malformed(_))), "{body:?}: {parts:?}");
        }
    }
}

#[test]
fn every_cut_of_a_body_is_an_error() {
    let body = format!("--b\r\n{HEAD}content\r\n--b\r\n{HEAD}\r\n--b--");
    assert_eq!(read(&body).map(|parts| parts.len()), Ok(2));
    for cut in 0..body.len() {
        let parts = read(&body[..cut]);
        assert!(matches!(parts, Err(BodyError::Malformed(_))), "{cut}: {parts:?}");
    }
}

#[test]
fn each_limit_is_kept_to_the_byte() {
    let body = format!("--b\r\n{HEAD}12345\r\n--b\r\n{HEAD}6\r\n--b--");
    let fits = MultipartLimits::default()
        .with_parts(2)
        .with_part_bytes(5)
        .with_part_head_bytes(HEAD.len() - 4)
        .with_part_fields(1)
        .with_body_bytes(body.len() as u64);
    let tight: [fn(MultipartLimits) -> MultipartLimits; 5] = [
        |limits| limits.with_parts(1),
        |limits| limits.with_part_bytes(4),
        |limits| limits.with_part_head_bytes(HEAD.len() - 5),
        |limits| limits.with_part_fields(0),
        |limits| {
            let less = limits.body_bytes - 1;
            limits.with_body_bytes(less)
        },
    ];
    for sizes in [&[usize::MAX][..], &[1], &[7, 2]] {
        let read = |limits: &MultipartLimits| {
            read_in_pieces(body.as_bytes(), "b", limits, sizes).map(|parts| parts.len())
        };
        assert_eq!(read(&fits), Ok(2));
        for tighten in tight {
            let error = read(&tighten(fits.clone())).unwrap_err();
            assert_eq!(error.status(), http::StatusCode::PAYLOAD_TOO_LARGE, "{error}");
        }
    }
}

/// Repeats a text for ever.
struct Endless(&'static [u8], usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn endless_input_ends_at_a_limit_and_in_little_memory() {
    let cases: [(&[u8], &'static [u8]); 6] = [
        (b"", b"no boundary "),
        (b"", b"\r\n--bx"),
        (b"--b\r\nx: ", b"y"),
        (b"--b\r\n", b"x: y\r\n"),
        (b"--b--\r\n", b"epilogue"),
        (b"", b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"),
    ];
    for (begin, repeated) in cases {
        let limits = MultipartLimits::default();
        let source = begin.chain(Endless(repeated, 0));
        let mut stream = PartStream::new(source, b"b", limits, 1024, |_| true).unwrap();
        let error = read_all(&mut stream).unwrap_err();
        assert!(matches!(error, BodyError::LimitExceeded(_)), "{error}");
        assert_eq!(stream.next_head().unwrap_err(), error, "an error stays");
    }
}

#[test]
fn the_rest_of_a_part_that_was_not_read_is_skipped() {
    let body = format!("--b\r\n{HEAD}{}\r\n--b\r\n{HEAD}2\r\n--b--", "1".repeat(10_000));
    let source = InPieces { bytes: body.as_bytes(), sizes: &[100], at: 0 };
    let mut stream =
        PartStream::new(source, b"b", MultipartLimits::default(), 256, |_| true).unwrap();
    stream.next_head().unwrap().unwrap();
    assert!(!stream.peek().unwrap().is_empty());
    stream.take(1);
    stream.next_head().unwrap().unwrap();
    assert_eq!(stream.peek(), Ok(&b"2"[..]));
    assert!(stream.next_head().unwrap().is_none());
    assert_eq!(stream.peek(), Ok(&b""[..]));
}

/// Reads a whole body in memory, line by line, with the same rules. `None` is malformed.
fn model(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = [b"\r\n", body].concat();
    let (mut parts, mut at, mut data_at) = (Vec::new(), 0, None::<usize>);
    loop {
        let found = (at..text.len()).find(|&i| text[i..].starts_with(b"\r\n--b"))?;
        if !is_delimiter(&text[found..])? {
            at = found + 5;
            continue;
        }
        if let Some(from) = data_at {
            parts.push(text[from.min(found)..found].to_vec());
        }
        let behind = &text[found + 5..];
        if behind.starts_with(b"--") {
            return Some(parts);
        }
        let spaces = behind.iter().take_while(|byte| b" \t".contains(byte)).count();
        let line_end = found + 5 + spaces;
        let head = HEAD.strip_suffix("\r\n\r\n")?;
        if !text[line_end + 2..].starts_with(HEAD.as_bytes()) {
            return None;
        }
        // The CR LF of the empty line may begin the next delimiter: then the part is empty.
        at = line_end + 2 + head.len() + 2;
        data_at = Some(at + 2);
        at += if is_delimiter(&text[at..])? { 0 } else { 2 };
    }
}

/// Whether the text begins with a delimiter; `None` with a malformed one.
fn is_delimiter(text: &[u8]) -> Option<bool> {
    let Some(behind) = text.strip_prefix(b"\r\n--b") else { return Some(false) };
    let is_last = behind.starts_with(b"--");
    let tail = if is_last { &behind[2..] } else { behind };
    let spaces = tail.iter().take_while(|byte| b" \t".contains(byte)).count();
    let rest = &tail[spaces..];
    if rest.starts_with(b"\r\n") || (is_last && rest.is_empty()) {
        return Some(true);
    }
    let is_data = spaces == 0 && !matches!(rest.first(), Some(b'\r' | b'\n') | None);
    if is_data || (!is_last && behind == b"-") { Some(false) } else { None }
}

/// Pieces of which bodies are made that try the rules.
const PIECES: [&[u8]; 14] = [
    b"\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n",
    b"\r\n--b--",
    b"\r\n--b",
    b"--b",
    b"\r\n",
    b"\r",
    b"\n",
    b"--",
    b"-",
    b" ",
    b"b",
    b"x",
    b"\t\r\n",
    b"\r\n--b\r\n",
];

#[test]
fn any_split_reads_as_the_whole_and_as_a_plain_reader() {
    #[allow(clippy::needless_pass_by_value)] // quickcheck passes values
    fn property(pieces: Vec<u8>, sizes: Vec<usize>) -> bool {
        let mut body = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n".to_vec();
        pieces.iter().for_each(|&p| body.extend_from_slice(PIECES[usize::from(p) % PIECES.len()]));
        let limits = MultipartLimits::default();
        let sizes: Vec<_> = sizes.iter().map(|size| size % 40).chain([1]).collect();
        let whole = read_in_pieces(&body, "b", &limits, &[usize::MAX]);
        let expected = model(&body);
        assert_eq!(
            whole.as_ref().ok().map(|parts| parts.iter().map(|part| part.2.clone()).collect()),
            expected,
            "{}",
            body.escape_ascii()
        );
        assert_eq!(read_in_pieces(&body, "b", &limits, &sizes), whole);
        true
    }
    QuickCheck::new()
        .rng(Gen::new(12))
        .tests(20_000)
        .quickcheck(property as fn(Vec<u8>, Vec<usize>) -> bool);
}
