//! A body that is read whole, and an error about what is in it.
//!
//! JSON and forms share this: which content is theirs, how much of it is read, and how an error of
//! serde becomes a problem.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode, header};

use super::coding::DecodedBody;
use crate::message::{Problem, Request};

/// Reads the body as text: of at most the bytes that the request's limit allows, or `bytes_max`
/// without one.
pub(super) fn read_text(request: &Request, bytes_max: u64) -> Result<String, Problem> {
    let bytes_max = request.body_limit().unwrap_or(bytes_max);
    let bytes = DecodedBody::of(request, bytes_max)?.read_to_vec()?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::new(StatusCode::BAD_REQUEST)
            .with_detail(format!("The body is not UTF-8: the byte at {at} is wrong."))
    })
}

/// Checks that the body is of a media type and in UTF-8; otherwise a 415 that says what would be
/// right.
pub(super) fn check_content(
    request: &Request,
    expected: &'static str,
    is_expected: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    let headers = request.headers();
    let content_type = headers.content_type().unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim_ascii);
    let essence = parts.next().unwrap_or_default();
    let unsupported = |detail: String| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with_detail(detail)
            .with_header(header::ACCEPT, HeaderValue::from_static(expected))
    };
    if headers.all(header::CONTENT_TYPE).nth(1).is_some() {
        return Err(unsupported(format!("The body has to be {expected}, and has several types.")));
    }
    if essence.is_empty() {
        return Err(unsupported(format!("The body has to be {expected}, and has no type.")));
    }
    if !is_expected(essence) {
        let essence = shortened(essence);
        return Err(unsupported(format!("The body has to be {expected}, and is {essence}.")));
    }
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        name.trim_ascii().eq_ignore_ascii_case("charset").then(|| value.trim_ascii())
    });
    let is_utf8 = |charset: &str| {
        let charset = charset.trim_matches('"');
        charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
    };
    if charset.is_some_and(|charset| !is_utf8(charset)) {
        return Err(unsupported("The body has to be in UTF-8.".to_owned()));
    }
    Ok(())
}

/// A problem with a value that does not fit the type: serde's text, and the path of the field.
pub(super) fn problem_with_field(status: StatusCode, path: &str, text: &str) -> Problem {
    let text = &without_type_names(text);
    // serde names a missing field in its text, and the path is that of the value around it.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    if let Some(name) = missing {
        let parent = if matches!(path, "." | "?" | "") { "" } else { path };
        let path = [parent, name].join(if parent.is_empty() { "" } else { "." });
        return Problem::new(status)
            .with_detail(shortened(text))
            .with_member("field", shortened(&path));
    }
    // The path of the whole value.
    if matches!(path, "." | "?" | "") {
        return Problem::new(status).with_detail(shortened(text));
    }
    let path = shortened(path);
    Problem::new(status)
        .with_detail(format!("{path}: {}", shortened(text)))
        .with_member("field", path)
}

/// The text of an error of serde, without the names of the program's types.
fn without_type_names(text: &str) -> Cow<'_, str> {
    for (kind, meaning) in KINDS {
        let Some((before, after)) = text.split_once(kind) else { continue };
        let name_end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
        let rest = &after[name_end.unwrap_or(after.len())..];
        return Cow::Owned(format!("{before}{meaning}{rest}"));
    }
    Cow::Borrowed(text)
}

/// How serde's derived code names what it expects, and what that is for a client.
const KINDS: [(&str, &str); 4] = [
    ("expected tuple struct ", "expected an array"),
    ("expected unit struct ", "expected null"),
    ("expected struct ", "expected an object"),
    ("expected enum ", "expected one of the variants"),
];

/// A text that may repeat what the client has sent, cut to a bounded length.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= DETAIL_BYTES_MAX {
        return text.to_owned();
    }
    let cut = (0..=DETAIL_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &text[..cut])
}

/// How many bytes of a text with parts from the client are sent back. Arbitrary: enough for the
/// names of the fields of a type, and for its mistake.
const DETAIL_BYTES_MAX: usize = 400;
