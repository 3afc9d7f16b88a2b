//! The header fields that say where a body ends: the parser finds the same end as a few lines of
//! plain code.

use super::protocol::Parser;
use crate::Limits;

/// Tries up to four header lines about the length of a body.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_content_length(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let minor = first % 2;
    let mut bytes = format!("POST / HTTP/1.{minor}\r\nHost: a\r\n").into_bytes();
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in rest.split(|&byte| byte == b'\n').take(4) {
        let Some((&kind, value)) = line.split_first() else { continue };
        // The parser refuses these bytes in any field.
        if value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            continue;
        }
        let trimmed = value.trim_ascii();
        let name = match kind % 6 {
            0 => "Content-Length",
            1 => "content-lengtH",
            2 => "Transfer-Encoding",
            3 => "TRANSFER-ENCODING",
            4 => "Content-Length-X",
            _ => "X-Transfer-Encoding",
        };
        match kind % 6 {
            0 | 1 => lengths.push(trimmed),
            2 | 3 => codings.push(trimmed),
            _ => {}
        }
        bytes.extend_from_slice(format!("{name}:").as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    let limits = Limits {
        body_bytes: LIMIT,
        field_line_bytes: 1 << 20,
        head_bytes: 1 << 20,
        ..Limits::default()
    };
    let mut parser = Parser::default();
    let found = match parser.parse(&bytes, &limits) {
        Ok(true) => Some(parser.content_length().map_or(End::AfterLastChunk, End::AfterBytes)),
        Ok(false) => panic!("a whole head"),
        Err(_) => None,
    };
    assert_eq!(found, find_end(&lengths, &codings, minor), "{}", bytes.escape_ascii());
}

/// Where a body ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    AfterBytes(u64),
    AfterLastChunk,
}

/// What a few lines of plain code find; `None` is a refusal.
fn find_end(lengths: &[&[u8]], codings: &[&[u8]], minor: u8) -> Option<End> {
    match (lengths, codings) {
        ([], []) => Some(End::AfterBytes(0)),
        ([length], []) => {
            let has_zeros = length.len() > 1 && length.starts_with(b"0");
            let is_number = length.iter().all(u8::is_ascii_digit) && !has_zeros;
            let length: u64 =
                std::str::from_utf8(length).ok().filter(|_| is_number)?.parse().ok()?;
            (length <= LIMIT).then_some(End::AfterBytes(length))
        }
        ([], [coding]) if minor > 0 && coding.eq_ignore_ascii_case(b"chunked") => {
            Some(End::AfterLastChunk)
        }
        _ => None,
    }
}

const LIMIT: u64 = 1 << 40;
