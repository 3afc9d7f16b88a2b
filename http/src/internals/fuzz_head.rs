//! Request heads: a head parses to the same result in one piece and in several. For an accepted
//! head, httparse finds the same values, and so does the parser when the head is written out again.

use super::protocol::Parser;
use crate::{Limits, Refusal};

/// Tries a head. The first byte says how it is cut into pieces.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_head(data: &[u8]) {
    let Some((&step, bytes)) = data.split_first() else { return };
    // The parser notices a fault in a line that comes in pieces only at the end of the line.
    let bytes = &[bytes, b"\r\n\r\n"].concat()[..];
    let limits = Limits {
        request_line_bytes: 200,
        field_line_bytes: 200,
        head_bytes: 600,
        fields: 8,
        ..Limits::default()
    };
    let mut whole = Parser::default();
    let outcome = whole.parse(bytes, &limits);

    let (mut pieces, mut there, mut size) = (Parser::default(), 0, usize::from(step));
    let in_pieces = loop {
        match pieces.parse(&bytes[..there], &limits) {
            Ok(false) if there < bytes.len() => {
                size = (size * 5 + 1) % 37;
                there = (there + 1 + size).min(bytes.len());
            }
            outcome => break outcome,
        }
    };
    match (outcome, in_pieces) {
        // A line that is both too long and malformed may be refused for either reason.
        (Err(whole), Err(pieces)) => assert!(
            whole.kind == pieces.kind || is_limit(whole) || is_limit(pieces),
            "{whole:?} in whole, {pieces:?} in pieces"
        ),
        (outcome, in_pieces) => assert_eq!(outcome, in_pieces),
    }
    if outcome == Ok(true) {
        let head = head(&whole, bytes);
        assert_eq!(head, self::head(&pieces, bytes));
        check_plainly(&head, bytes);
        check_against_httparse(&head, bytes);
        check_written_again(&head);
    }
}

/// A parsed head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    method: String,
    target: Vec<u8>,
    minor: u8,
    fields: Vec<(String, Vec<u8>)>,
    content_length: Option<u64>,
    keep_alive: bool,
    end: usize,
}

fn head(parser: &Parser, bytes: &[u8]) -> Head {
    let fields = parser.headers(bytes).iter();
    Head {
        method: parser.method().to_string(),
        target: parser.target(bytes).to_vec(),
        minor: parser.minor(),
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        content_length: parser.content_length(),
        keep_alive: parser.keep_alive(),
        end: parser.end(),
    }
}

fn check_plainly(head: &Head, bytes: &[u8]) {
    assert!(head.end <= bytes.len() && bytes[..head.end].ends_with(b"\r\n\r\n"));
    assert!(head.target.iter().all(u8::is_ascii_graphic) && !head.target.is_empty());
    let hosts = head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count();
    assert!(hosts == 1 || (head.minor == 0 && hosts == 0), "{hosts} hosts");
    for (name, value) in &head.fields {
        assert!(!name.is_empty() && !name.contains([' ', '\t', ':']), "{name:?}");
        assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)));
        assert_eq!(value.trim_ascii(), value);
    }
}

/// httparse accepts every head that this parser accepts, except for versions above 1.1, and finds
/// the same values in it. It may accept more heads.
fn check_against_httparse(head: &Head, bytes: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut headers);
    match theirs.parse(&bytes[..head.end]) {
        Ok(status) => assert_eq!(status, httparse::Status::Complete(head.end)),
        Err(httparse::Error::Version) => return,
        Err(error) => panic!("httparse does not accept {head:?}: {error}"),
    }
    assert_eq!(theirs.method, Some(&*head.method));
    assert_eq!(theirs.path.map(str::as_bytes), Some(&*head.target));
    assert_eq!(theirs.version, Some(head.minor));
    let fields = theirs.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec()));
    assert_eq!(fields.collect::<Vec<_>>(), head.fields);
}

fn check_written_again(head: &Head) {
    let mut bytes = format!("{} ", head.method).into_bytes();
    bytes.extend_from_slice(&head.target);
    bytes.extend_from_slice(format!(" HTTP/1.{}\r\n", head.minor).as_bytes());
    for (name, value) in &head.fields {
        bytes.extend_from_slice(format!("{name}: ").as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    let mut parser = Parser::default();
    // Written out again, a head within the limits may be longer by a space in each line.
    let limits = Limits { head_bytes: 1 << 20, field_line_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(parser.parse(&bytes, &limits), Ok(true));
    let again = self::head(&parser, &bytes);
    assert_eq!(again, Head { end: bytes.len(), ..self::head(&parser, &bytes) });
    assert_eq!(
        (&again.method, &again.target, &again.fields),
        (&head.method, &head.target, &head.fields)
    );
    assert_eq!((again.content_length, again.keep_alive), (head.content_length, head.keep_alive));
}

fn is_limit(refusal: Refusal) -> bool {
    matches!(refusal.kind.status().as_u16(), 414 | 431)
}
