//! The media type of a file, by the extension of its name.

use std::borrow::Cow;

/// The media type, with a charset if it is text.
pub(super) fn of_name(name: &[u8]) -> Cow<'static, str> {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let dot = last.iter().rposition(|&byte| byte == b'.');
    let extension = dot.and_then(|dot| std::str::from_utf8(&last[dot + 1..]).ok());
    let found = extension.and_then(|text| mime_guess::from_ext(text).first_raw());
    with_charset(found.unwrap_or("application/octet-stream"))
}

fn with_charset(media_type: &'static str) -> Cow<'static, str> {
    let common = COMMON.iter().find(|(plain, _)| *plain == media_type);
    match common {
        Some((_, with_charset)) => Cow::Borrowed(*with_charset),
        None if is_text(media_type) => Cow::Owned(format!("{media_type}; charset=utf-8")),
        None => Cow::Borrowed(media_type),
    }
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type.ends_with("+xml") || media_type.ends_with("+json")
}

/// The types of most of the text that is served, so that no text has to be made for them.
const COMMON: &[(&str, &str)] = &[
    ("text/html", "text/html; charset=utf-8"),
    ("text/css", "text/css; charset=utf-8"),
    ("text/javascript", "text/javascript; charset=utf-8"),
    ("text/plain", "text/plain; charset=utf-8"),
    ("application/javascript", "application/javascript; charset=utf-8"),
    ("application/json", "application/json; charset=utf-8"),
    ("application/xml", "application/xml; charset=utf-8"),
    ("image/svg+xml", "image/svg+xml; charset=utf-8"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_charset_and_the_extension_counts() {
        let cases = [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.TXT", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.wasm", "application/wasm"),
            ("a.txt.gz", "application/gzip"),
            ("a.tar/b", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.nonsense", "application/octet-stream"),
        ];
        for (name, expected) in cases {
            assert_eq!(of_name(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(of_name(b"a.\xff"), "application/octet-stream");
        assert!(of_name(b"a.js").contains("javascript; charset=utf-8"));
    }
}
