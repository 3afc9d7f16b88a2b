//! Ranges and conditions: the response has exactly the bytes that a few lines of plain code find,
//! whatever the fields `Range`, `If-Range` and the conditions say.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::web::{EntityTag, Ranged, Validators};
use crate::{Request, Response};

/// Tries a request for a body of 0 to 255 bytes. The lines of `data` are the fields, in the order
/// of `FIELDS`.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_ranges(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let mut builder = Request::builder();
    let mut range = None;
    for (name, line) in FIELDS.iter().zip(rest.split(|&byte| byte == b'\n')) {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        if line.is_empty() || line != line.trim_ascii() {
            continue; // no field has such a value once it was received
        }
        if *name == "range" {
            range = Some(line);
        }
        builder = builder.header(*name, value);
    }
    let Ok(mut request) = builder.build() else { return };
    let content: Vec<u8> = (0..length).collect();
    let response = respond(&request, content.clone());
    let status = response.status().as_u16();
    let field = |name| response.headers().get(name).map(str::to_owned);
    let (content_range, content_type) = (field("content-range"), field("content-type"));
    let announced = response.body().length();
    let mut body = Vec::new();
    assert!(response.into_body().write_to(&mut request, &mut body).is_ok(), "the body is whole");
    assert_eq!(announced, Some(body.len() as u64));
    match status {
        200 => assert_eq!(body, content),
        206 => {
            let parts = match content_range {
                Some(range) => vec![(range, body)],
                None => split(&content_type.unwrap_or_default(), &body),
            };
            check(&parts, &content, range.unwrap_or_default());
        }
        416 => {
            assert_eq!(content_range, Some(format!("bytes */{length}")));
            assert_eq!(asked_for(range.unwrap_or_default(), length), Some(BTreeSet::new()));
        }
        304 | 412 => {}
        other => panic!("status {other}"),
    }
    for line in rest.split(|&byte| byte == b'\n') {
        try_tag(line);
    }
}

fn respond(request: &Request, content: Vec<u8>) -> Response {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let validators =
        Validators::new().with_etag(EntityTag::strong("x")).with_last_modified(changed);
    match Ranged::new(Cursor::new(content)) {
        Ok(ranged) => ranged.with_validators(validators).respond(request),
        Err(error) => panic!("{error}"),
    }
}

/// The parts of a `multipart/byteranges`: their ranges and their bytes.
fn split(content_type: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Some(boundary) = content_type.strip_prefix("multipart/byteranges; boundary=") else {
        panic!("the type {content_type}");
    };
    // Each byte as a character, so that no byte is lost.
    let text: String = body.iter().map(|&byte| char::from(byte)).collect();
    let text = format!("\r\n{text}");
    let mut parts: Vec<_> = text.split(&format!("\r\n--{boundary}")).collect();
    assert_eq!(parts.pop(), Some("--\r\n"));
    assert_eq!(parts.first(), Some(&""));
    let part = |part: &&str| {
        let Some((head, body)) = part.split_once("\r\n\r\n") else { panic!("no head in {part}") };
        let Some((_, range)) = head.split_once("Content-Range: ") else { panic!("{head}") };
        (range.to_owned(), body.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect())
    };
    parts[1..].iter().map(part).collect()
}

/// Each part has the bytes that it says, and all together are those that were asked for, once.
fn check(parts: &[(String, Vec<u8>)], content: &[u8], range: &[u8]) {
    let mut sent = Vec::new();
    for (part, body) in parts {
        let numbers: Vec<usize> =
            part.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [first, last, length] = numbers[..] else { panic!("the part {part}") };
        assert_eq!((length, &content[first..=last]), (content.len(), &body[..]));
        sent.extend(body);
    }
    let bytes: BTreeSet<u8> = sent.iter().copied().collect();
    assert_eq!(bytes.len(), sent.len(), "no byte twice");
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    assert_eq!(asked_for(range, length), Some(bytes), "{}", range.escape_ascii());
}

/// What a few lines of plain code find: the bytes that exist; `None` if the field is malformed.
fn asked_for(range: &[u8], length: u8) -> Option<BTreeSet<u8>> {
    let (unit, specs) = std::str::from_utf8(range).ok()?.split_once('=')?;
    if unit.to_lowercase() != "bytes" {
        return None;
    }
    let mut bytes = BTreeSet::new();
    for spec in specs.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        let (first, last) = spec.split_once('-')?;
        let number = |digits: &str| -> Option<u64> {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                bytes.extend((0..length).filter(|&at| (first..=last).contains(&u64::from(at))));
            }
            (Some(first), None) if last.is_empty() => {
                bytes.extend((0..length).filter(|&at| u64::from(at) >= first));
            }
            (None, Some(count)) if first.is_empty() => {
                let skipped = u64::from(length).saturating_sub(count);
                bytes.extend((0..length).filter(|&at| u64::from(at) >= skipped));
            }
            _ => return None,
        }
    }
    Some(bytes)
}

/// A text that is a tag is found in conditions, by each comparison that its strength allows.
fn try_tag(line: &[u8]) {
    let Ok(text) = std::str::from_utf8(line) else { return };
    let Ok(tag) = text.parse::<EntityTag>() else { return };
    assert_eq!(tag.as_str(), text);
    let validators = Validators::new().with_etag(tag.clone());
    for (name, fails) in [("if-none-match", true), ("if-match", tag.is_weak())] {
        let Ok(value) = HeaderValue::try_from(&tag) else { panic!("a tag is a value") };
        let Ok(request) = Request::builder().header(name, value).build() else { return };
        assert_eq!(validators.check(&request).is_some(), fails, "{name}: {text}");
    }
}

const FIELDS: [&str; 6] =
    ["range", "if-range", "if-none-match", "if-match", "if-modified-since", "if-unmodified-since"];
