//! Multipart forms: a body gives the same parts in one piece and in several, and what was read can
//! be written with another boundary and is read as the same.

use std::io::{Read, Write};

use super::in_pieces::InPieces;
use crate::web::{MultipartLimits, RequestExt};
use crate::{Method, Problem, Request};

/// Tries a body with the boundary `b`. The first byte says how it is cut into pieces.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_multipart(data: &[u8]) {
    let Some((&step, body)) = data.split_first() else { return };
    let whole = read(body, "b", 0).map_err(|problem| problem.to_string());
    let in_pieces = read(body, "b", step).map_err(|problem| problem.to_string());
    assert_eq!(whole, in_pieces);
    let Ok(parts) = whole else { return };
    let length: usize = parts.iter().map(|part| part.content.len()).sum();
    assert!(length <= body.len());
    let written = write(&parts);
    let again = read(&written, BOUNDARY, step).map_err(|problem| problem.to_string());
    assert_eq!(again, Ok(parts));
}

/// A part as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

fn read(body: &[u8], boundary: &str, step: u8) -> Result<Vec<Part>, Problem> {
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    let request = Request::builder()
        .method(Method::POST)
        .header("content-type", content_type)
        .reader(InPieces::new(body, step))
        .build();
    let request = request.expect("a request");
    let limits = MultipartLimits::default().with_parts(20).with_part_head_bytes(300);
    let mut form = request.multipart_within(limits)?;
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part()? {
        let mut content = Vec::new();
        part.read_to_end(&mut content).map_err(|error| {
            crate::BodyError::of(&error).map_or_else(|| panic!("{error}"), Problem::from)
        })?;
        let content_type = part.content_type().map(str::to_owned);
        let (name, filename) = (part.name().to_owned(), part.filename().map(str::to_owned));
        if let Some(safe) = part.safe_filename() {
            assert!(!safe.contains(['/', '\\', '\0', '\r', '\n']) && !safe.starts_with('.'));
        }
        parts.push(Part { name, filename, content_type, content });
    }
    Ok(parts)
}

/// Writes the parts as a browser does.
fn write(parts: &[Part]) -> Vec<u8> {
    let escaped = |name: &str| {
        // A browser does not escape a backslash; but the reader takes one before a quote for an
        // escape, and the quote is `%22` here.
        let name = name.replace('\\', "\\\\").replace('"', "%22");
        name.replace('\r', "%0D").replace('\n', "%0A")
    };
    let mut body = Vec::new();
    for part in parts {
        let name = escaped(&part.name);
        let _ = write!(body, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"");
        if let Some(filename) = &part.filename {
            let _ = write!(body, "; filename=\"{}\"", escaped(filename));
        }
        if let Some(content_type) = &part.content_type {
            let _ = write!(body, "\r\nContent-Type: {content_type}");
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    let _ = write!(body, "--{BOUNDARY}--\r\n");
    body
}

/// A boundary of the greatest length, which no input is likely to contain.
const BOUNDARY: &str = "a-boundary:with(all)kinds=of'characters+in_it,and.of/the?greatest len";
