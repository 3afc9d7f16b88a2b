//! `Content-Disposition` (RFC 6266): what the client saves as a file, and under which name.

use std::fmt::Write;

use http::{HeaderValue, header};

use crate::message::{IntoResponse, Response};

/// The response as a download: the client saves it as a file, and proposes `name` to its user
/// (RFC 6266).
///
/// The name may come from anywhere. It cannot break out of its field: control characters, slashes
/// and backslashes become `_`, as do the characters that change the direction of text, which could
/// hide the true extension. A name that is not plain ASCII is also sent in UTF-8 (RFC 8187). A name
/// beyond 200 characters loses its middle, so it keeps its extension.
///
/// Not a yield point.
///
/// ```
/// use straightline::web::download;
///
/// let report = download("€ rates.csv", "EUR;USD\n1;1.09\n");
/// assert_eq!(
///     report.headers().get("content-disposition"),
///     Some("attachment; filename=\"_ rates.csv\"; filename*=UTF-8''%E2%82%AC%20rates.csv")
/// );
/// ```
pub fn download(name: &str, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    // Only visible ASCII and spaces are in it.
    if let Ok(value) = HeaderValue::from_str(&attachment(name)) {
        response.set_header(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn attachment(name: &str) -> String {
    let name = shortened(name);
    let mut value = "attachment".to_owned();
    if name.is_empty() {
        return value;
    }
    // Clients disagree about backslashes and percent signs in quotes (RFC 6266 appendix D).
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%');
    value.push_str("; filename=\"");
    value.extend(name.chars().map(|c| if is_plain(c) { c } else { '_' }));
    value.push('"');
    if !name.chars().all(is_plain) {
        value.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                let _ = write!(value, "%{byte:02X}"); // a string takes everything
            }
        }
    }
    value
}

/// The name with harmless characters, and not too many of them.
fn shortened(name: &str) -> String {
    let harmless = |c: char| if is_harmful(c) { '_' } else { c };
    let count = name.chars().take(NAME_CHARS_MAX + 1).count();
    if count <= NAME_CHARS_MAX {
        return name.chars().map(harmless).collect();
    }
    let half = NAME_CHARS_MAX / 2;
    let end = name.char_indices().rev().nth(half - 1).map_or(0, |(at, _)| at);
    name.chars().take(half).chain(name[end..].chars()).map(harmless).collect()
}

/// Whether a name of a file had better not have the character: controls, separators of folders, and
/// what changes the direction of text.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Arbitrary: file systems allow 255 bytes.
const NAME_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out() {
        let cases = [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("", "attachment"),
            ("a b;c=d.txt", "attachment; filename=\"a b;c=d.txt\""),
            (
                "a\"; x=\"y",
                "attachment; filename=\"a_; x=_y\"; filename*=UTF-8''a%22%3B%20x%3D%22y",
            ),
            ("a\r\nSet-Cookie: b=c", "attachment; filename=\"a__Set-Cookie: b=c\""),
            ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
            ("..\\a", "attachment; filename=\".._a\""),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
            ("a\u{202e}gpj.exe", "attachment; filename=\"a_gpj.exe\""),
            ("ä", "attachment; filename=\"_\"; filename*=UTF-8''%C3%A4"),
        ];
        for (name, expected) in cases {
            assert_eq!(attachment(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = format!("{}.tar.gz", "é".repeat(100_000));
        let value = attachment(&name);
        assert!(value.len() < 2_000 && value.ends_with(".tar.gz"), "{value}");
    }

    quickcheck::quickcheck! {
        fn every_name_gives_one_field(name: String) -> bool {
            let value = attachment(&name);
            let quotes = value.matches('"').count();
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
                && quotes == if name.is_empty() { 0 } else { 2 }
        }
    }
}
