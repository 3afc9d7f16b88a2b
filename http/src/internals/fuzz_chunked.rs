//! Chunked bodies: a body decodes to the same result in one piece, in several pieces, and with a
//! plain decoder. An encoded body decodes to itself.

use super::protocol::{Chunk, Chunked};
use crate::Limits;

/// Tries a chunked body. The first byte says how it is cut into pieces.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_chunked(data: &[u8]) {
    let Some((&step, bytes)) = data.split_first() else { return };
    let whole = decode(bytes, 0);
    assert_eq!(whole, decode(bytes, step.max(1)));
    match (&whole, decode_plainly(bytes, &limits())) {
        (Outcome::Complete(body, used), plain) => {
            assert_eq!(plain.as_ref(), Some(&(body.clone(), *used)));
        }
        (_, plain) => assert!(plain.is_none(), "{whole:?} but {plain:?}"),
    }
    let body = &bytes[..bytes.len().min(1000)];
    let mut encoded = encode(body, step);
    let length = encoded.len();
    encoded.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(decode(&encoded, step), Outcome::Complete(body.to_vec(), length));
}

/// How a decoder ends.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The body, and how many bytes its encoding takes.
    Complete(Vec<u8>, usize),
    Refused,
    More,
}

fn limits() -> Limits {
    Limits { body_bytes: 1000, chunk_extension_bytes: 100, trailer_bytes: 100, ..Limits::default() }
}

/// Decodes in pieces whose sizes follow from `step`; all at once if `step` is 0.
fn decode(bytes: &[u8], step: u8) -> Outcome {
    let (mut decoder, mut body) = (Chunked::default(), Vec::new());
    let (mut used, mut there, mut size) = (0, 0, usize::from(step));
    loop {
        let (framing, next) = match decoder.next(&bytes[used..there], &limits()) {
            Ok(next) => next,
            Err((_, at)) => {
                assert!(used + at < there);
                return Outcome::Refused;
            }
        };
        used += framing;
        match next {
            Chunk::End => {
                for (name, value) in decoder.trailers() {
                    assert!(!name.is_empty() && !value.contains(&b'\n'));
                }
                return Outcome::Complete(body, used);
            }
            Chunk::Data(left) if used < there => {
                let count = usize::try_from(left).map_or(there - used, |n| n.min(there - used));
                body.extend_from_slice(&bytes[used..used + count]);
                decoder.took(count as u64);
                used += count;
            }
            Chunk::Data(_) | Chunk::More => {
                assert_eq!(used, there, "bytes that are neither framing nor data");
                if there == bytes.len() {
                    return Outcome::More;
                }
                size = if step == 0 { bytes.len() } else { (size * 5 + 1) % 37 };
                there = there.saturating_add(1 + size).min(bytes.len());
            }
        }
    }
}

/// A plain decoder: it reads lines, and is not incremental.
pub(super) fn decode_plainly(bytes: &[u8], limits: &Limits) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at, mut extensions) = (Vec::new(), 0, 0);
    loop {
        let line = line(bytes, &mut at)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if !(1..=16).contains(&digits) || !is_extension(&line[digits..]) {
            return None;
        }
        extensions += line.len() - digits;
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(bytes.get(at..end)?);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    let start = at;
    loop {
        let line = line(bytes, &mut at)?;
        if line.is_empty() {
            break;
        }
        let name = line.split(|&byte| byte == b':').next()?;
        let text = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let forbidden = ["content-length", "transfer-encoding", "host"].contains(&&*text);
        let is_token =
            |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_value = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if name.is_empty() || name.len() == line.len() || !name.iter().all(is_token) || forbidden {
            return None;
        }
        if !line.iter().all(is_value) {
            return None;
        }
    }
    let fits = body.len() as u64 <= limits.body_bytes
        && extensions <= limits.chunk_extension_bytes
        && at - start - 2 <= limits.trailer_bytes;
    fits.then_some((body, at))
}

/// The next line without its CR LF; `None` if there is no line that ends in CR LF.
fn line<'b>(bytes: &'b [u8], at: &mut usize) -> Option<&'b [u8]> {
    let rest = &bytes[*at..];
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    *at += end + 1;
    let line = rest[..end].strip_suffix(b"\r")?;
    (!line.contains(&b'\r')).then_some(line)
}

/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`
fn is_extension(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some((b';', rest)) = after_space(text).split_first() else { return false };
        let Some(rest) = after_token(after_space(rest)) else { return false };
        text = rest;
        if let Some((b'=', value)) = after_space(rest).split_first() {
            let value = after_space(value);
            let after =
                if value.starts_with(b"\"") { after_quoted(value) } else { after_token(value) };
            let Some(rest) = after else { return false };
            text = rest;
        }
    }
    true
}

/// Skips `BWS`, which is spaces and tabs.
fn after_space(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len());
    &text[end..]
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.iter().position(|&byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then_some(&text[end..])
}

fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some(&text[at..]),
            b'\\' => {
                if !matches!(text.get(at)?, b'\t' | b' '..=b'~' | 0x80..) {
                    return None;
                }
                at += 1;
            }
            b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return None,
        }
    }
}

fn encode(data: &[u8], step: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in data.chunks(1 + usize::from(step)) {
        bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
