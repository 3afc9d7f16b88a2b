//! Queries and forms: what is decoded is what a few lines of plain code decode, and a query into
//! types never panics.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use crate::Request;
use crate::web::RequestExt;

/// Reads the bytes as a form, into several types.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_query(data: &[u8]) {
    let request = Request::builder()
        .header("content-type", "application/x-www-form-urlencoded")
        .body(data.to_vec())
        .build()
        .expect("a request of these bytes");
    match request.form::<Vec<(String, String)>>() {
        Ok(pairs) => assert_eq!(Some(pairs), decode(data), "{}", data.escape_ascii()),
        Err(problem) => {
            assert!(problem.status().is_client_error());
            let is_too_long = data.split(|&byte| byte == b'&').count() > 1000;
            assert!(is_too_long || decode(data).is_none(), "{}", data.escape_ascii());
        }
    }
    // The same bytes again, for the types that are read in other ways.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let target = format!("/?{text}");
    let Ok(request) = Request::builder().target(&target).build() else { return };
    let _ = request.query_as::<BTreeMap<String, Vec<u64>>>();
    let _ = request.query_as::<BTreeMap<String, Option<i8>>>();
    let _ = request.query_as::<(IgnoredAny, String)>();
    let _ = request.query_as::<IgnoredAny>();
}

/// What a few lines of plain code find; `None` if it is not UTF-8, before and after decoding.
fn decode(data: &[u8]) -> Option<Vec<(String, String)>> {
    // Half of a character may not be encoded and the other half not.
    std::str::from_utf8(data).ok()?;
    let text = |part: &[u8]| {
        let mut bytes = Vec::new();
        let mut at = 0;
        while let Some(&byte) = part.get(at) {
            let digits = part.get(at + 1..at + 3).and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
            });
            match (byte, digits) {
                (b'%', Some(decoded)) => {
                    bytes.push(decoded);
                    at += 2;
                }
                (b'+', _) => bytes.push(b' '),
                _ => bytes.push(byte),
            }
            at += 1;
        }
        String::from_utf8(bytes).ok()
    };
    let parts = data.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let equals = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
            Some((text(&part[..equals])?, text(part.get(equals + 1..).unwrap_or_default())?))
        })
        .collect()
}
