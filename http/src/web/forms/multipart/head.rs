//! The head of a part: its header fields, of which `Content-Disposition` has the name (RFC 7578
//! section 4).

use std::ops::Range;

use super::parameters::{Parameters, Value, is_token};
use crate::body_error::BodyError;
use crate::proto::{Field, Headers};

/// The header fields of a part, and what they say about it.
#[derive(Debug)]
pub(super) struct PartHead {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    pub(super) name: String,
    pub(super) filename: Option<String>,
}

impl PartHead {
    /// Parses a head: the lines between a delimiter and the empty line, each with the CR LF in
    /// front of it.
    pub(super) fn parse(lines: &[u8], fields_max: usize) -> Result<Self, BodyError> {
        let (bytes, mut fields, mut at) = (lines.to_vec(), Vec::new(), 0);
        while at < bytes.len() {
            let line = at + 2; // behind the CR LF
            let rest = bytes.get(line..).unwrap_or_default();
            let end = line + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            if fields.len() == fields_max {
                return Err(BodyError::LimitExceeded("a part has too many header lines"));
            }
            let (name, value) = field(&bytes[line..end], line).ok_or(MALFORMED)?;
            fields.push(Field::new(name, value));
            at = end;
            if at < bytes.len() && !bytes[at..].starts_with(b"\r\n") {
                return Err(MALFORMED);
            }
        }
        let headers = Headers::received(&bytes, &fields);
        let (name, filename) = disposition(headers)?;
        if headers.all("content-transfer-encoding").any(|value| !is_identity(value)) {
            return Err(BodyError::Malformed("a part has a content transfer encoding"));
        }
        Ok(Self { bytes, fields, name, filename })
    }

    pub(super) fn headers(&self) -> Headers<'_> {
        Headers::received(&self.bytes, &self.fields)
    }
}

/// The name and the value of a header line that begins at `start`.
fn field(line: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // A folded line begins with a space, which is no token either.
    let is_value = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if name.is_empty() || !name.iter().copied().all(is_token) || !value.iter().all(is_value) {
        return None;
    }
    let from = start + colon + 1 + (value.len() - value.trim_ascii_start().len());
    let to = from + value.trim_ascii().len();
    Some((start..start + colon, from..to))
}

/// An encoding that changes nothing. All others are deprecated (RFC 7578 section 4.7).
fn is_identity(encoding: &[u8]) -> bool {
    [&b"7bit"[..], b"8bit", b"binary"].iter().any(|other| encoding.eq_ignore_ascii_case(other))
}

/// The name and the filename of a part.
fn disposition(headers: Headers<'_>) -> Result<(String, Option<String>), BodyError> {
    let mut dispositions = headers.all("content-disposition");
    let (Some(disposition), None) = (dispositions.next(), dispositions.next()) else {
        return Err(BodyError::Malformed("a part has to have one Content-Disposition"));
    };
    let (kind, parameters) = Parameters::split(disposition);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(BodyError::Malformed("a part is not form-data"));
    }
    let (mut name, mut filename, mut extended) = (None, None, None);
    for parameter in parameters {
        let (parameter, value) = parameter.map_err(|_| MALFORMED_DISPOSITION)?;
        let is = |other: &str| parameter.eq_ignore_ascii_case(other);
        let (place, text) = if is("name") {
            (&mut name, text(value)?)
        } else if is("filename") {
            (&mut filename, text(value)?)
        } else if is("filename*") {
            (&mut extended, extended_text(value).ok_or(MALFORMED_DISPOSITION)?)
        } else {
            continue;
        };
        if place.replace(text).is_some() {
            return Err(BodyError::Malformed("a part has a parameter twice"));
        }
    }
    let name = name.ok_or(BodyError::Malformed("a part has no name"))?;
    Ok((name, filename.or(extended)))
}

/// The text of a name. Browsers write a quote, a CR and an LF as `%22`, `%0D` and `%0A`, and a `%`
/// as it is.
fn text(value: Value<'_>) -> Result<String, BodyError> {
    if !value.is_token_or_quoted() {
        return Err(MALFORMED_DISPOSITION);
    }
    let text = String::from_utf8(value.unescaped().into_owned())
        .map_err(|_| BodyError::Malformed("the name of a part is not UTF-8"))?;
    if !text.contains('%') {
        return Ok(text);
    }
    let text = text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
    Ok(text.replace("%0d", "\r").replace("%0a", "\n"))
}

/// The text of an extended parameter, `UTF-8'language'percent-encoded` (RFC 8187 section 3.2).
fn extended_text(value: Value<'_>) -> Option<String> {
    let Value::Bare(text) = value else { return None };
    let mut pieces = text.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, encoded) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    let (mut plain, mut rest) = (Vec::with_capacity(encoded.len()), encoded);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte == b'%' {
            let digits = str::from_utf8(behind.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            plain.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
            rest = &behind[2..];
        } else if is_token(byte) {
            plain.push(byte);
        } else {
            return None;
        }
    }
    String::from_utf8(plain).ok()
}

const MALFORMED: BodyError = BodyError::Malformed("the head of a part is malformed");

const MALFORMED_DISPOSITION: BodyError =
    BodyError::Malformed("the Content-Disposition of a part is malformed");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<PartHead, BodyError> {
        let text: String = lines.iter().map(|line| format!("\r\n{line}")).collect();
        PartHead::parse(text.as_bytes(), 16)
    }

    fn names(disposition: &str) -> Result<(String, Option<String>), BodyError> {
        let head = parse(&[&format!("Content-Disposition: {disposition}")])?;
        Ok((head.name, head.filename))
    }

    #[test]
    fn names_are_read_as_browsers_write_them() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("form-data; name=\"a\"", "a", None),
            ("form-data; name=a", "a", None),
            ("FORM-DATA;NAME=\"a\" ; FileName=\"b.txt\"", "a", Some("b.txt")),
            ("form-data; name=\"\"; filename=\"\"", "", Some("")),
            ("form-data; filename=\"x; name=y\"; name=\"z\"", "z", Some("x; name=y")),
            ("form-data; filename=\"name=y\"; name=\"z\"", "z", Some("name=y")),
            ("form-data; filename=\"\\\"; name=y\"; name=\"z\"", "z", Some("\"; name=y")),
            ("form-data; name=\"a%22b%0D%0Ac%25\"", "a\"b\r\nc%25", None),
            ("form-data; name=\"a\"; filename=\"C:\\temp\\x.txt\"", "a", Some("C:\\temp\\x.txt")),
            ("form-data; name=\"\u{e9}\"; filename=\"\u{4e2d}\"", "\u{e9}", Some("\u{4e2d}")),
            ("form-data; name=a; filename*=UTF-8''%e2%82%ac.txt", "a", Some("\u{20ac}.txt")),
            ("form-data; name=a; filename=b; filename*=UTF-8''c", "a", Some("b")),
            ("form-data; name=a; other=\"name=b\"", "a", None),
        ];
        for (disposition, name, filename) in cases {
            let expected = ((*name).to_owned(), filename.map(str::to_owned));
            assert_eq!(names(disposition), Ok(expected), "{disposition}");
        }
    }

    #[test]
    fn a_part_without_one_clear_name_is_malformed() {
        for disposition in [
            "",
            "form-data",
            "form-data; filename=\"a\"",
            "form-data; filename=\"; name=x\"",
            "attachment; name=\"a\"",
            "form-data; name=\"a",
            "form-data; name=\"a\"; name=\"b\"",
            "form-data; name=a; filename=b; FILENAME=c",
            "form-data; name=a b",
            "form-data; name=a/b",
            "form-data name=a",
            "form-data; name=a; filename*=c",
            "form-data; name=a; filename*=latin1''c",
            "form-data; name=a; filename*=UTF-8''%ff",
            "form-data; name=a; filename*=UTF-8''%+1",
            "form-data; name=a; filename*=\"UTF-8''c\"",
        ] {
            assert!(names(disposition).is_err(), "{disposition}");
        }
        let not_text = b"\r\nContent-Disposition: form-data; name=\"\xff\"";
        assert!(PartHead::parse(not_text, 16).is_err());
        assert!(PartHead::parse(b"", 16).is_err());
    }

    #[test]
    fn header_lines_are_strict() {
        const GOOD: &str = "Content-Disposition: form-data; name=a";
        let head = parse(&[GOOD, "content-type:text/plain", "X-A: \t b c \t"]).unwrap();
        assert_eq!(head.headers().content_type(), Some("text/plain"));
        assert_eq!(head.headers().get("x-a"), Some("b c"));
        assert!(parse(&[GOOD, "Content-Transfer-Encoding: binary"]).is_ok());
        for bad in [
            " folded",
            "no colon",
            ": no name",
            "space : x",
            "x: a\rb",
            "x: a\nb: c",
            "x: \0",
            "x: \u{7f}",
            "--boundary--",
            "Content-Transfer-Encoding: base64",
            GOOD,
        ] {
            assert!(parse(&[GOOD, bad]).is_err(), "{bad:?}");
        }
        let many = [[GOOD].as_slice(), &["a: b"; 16]].concat();
        let error = BodyError::LimitExceeded("a part has too many header lines");
        assert_eq!(parse(&many).unwrap_err(), error);
        assert!(parse(&many[..16]).is_ok());
    }
}
