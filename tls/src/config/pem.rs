//! The sections of PEM text (RFC 7468), with nothing skipped silently.
//!
//! rustls's reader finds the sections that it knows and skips all else, so that a broken marker or
//! a file of another kind looks like an empty file. This reader finds all sections first, says what
//! is wrong with the text between them, and gives rustls's reader one section at a time.
//! Explanatory text between sections is allowed (RFC 7468, 2), as `openssl` writes some.

use rustls::pki_types::pem::PemObject;

use crate::config::error::{Place, TlsConfigError, TlsConfigErrorKind};
use crate::config::source::Content;

/// A section: its label, and what it encodes.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) label: &'a str,
    /// The line of its first marker, from 1.
    pub(crate) line: usize,
    /// The whole section, with its markers.
    text: &'a str,
}

/// All sections of that text.
pub(crate) fn sections(content: &Content) -> Result<Vec<Section<'_>>, TlsConfigError> {
    let refuse =
        |text: String| Err(TlsConfigError::new(TlsConfigErrorKind::NotPem, &content.place, text));
    if let Some(text) = other_encoding(&content.bytes) {
        return refuse(text.to_owned());
    }
    let Ok(text) = str::from_utf8(&content.bytes) else {
        return refuse("is not text, so it is no PEM".to_owned());
    };
    let mut sections = Vec::new();
    // The label, the line and the offset of the section that has not ended.
    let mut open: Option<(&str, usize, usize)> = None;
    let mut offset = 0;
    for (number, whole) in (1..).zip(text.split_inclusive('\n')) {
        let start = offset;
        offset += whole.len();
        let line = whole.trim_ascii_end();
        match (open, label_of(line, "-----BEGIN "), label_of(line, "-----END ")) {
            (None, Some(label), _) => open = Some((label, number, start)),
            (Some((label, since, begin)), _, Some(end)) if label == end => {
                sections.push(Section { label, line: since, text: &text[begin..offset] });
                open = None;
            }
            (Some((label, since, _)), begin, end) if begin.is_some() || end.is_some() => {
                return refuse(format!(
                    "line {number} has a marker before the end of {label}, which began in line \
                     {since}: the file is cut or was put together wrongly"
                ));
            }
            (None, _, Some(_)) => {
                return refuse(format!("line {number} ends a section that never began"));
            }
            (None, None, None) if looks_lost(line) => {
                return refuse(format!(
                    "line {number} is neither in a section nor a comment: a marker is broken; it \
                     must be a line such as `-----BEGIN CERTIFICATE-----` of its own"
                ));
            }
            _ => {}
        }
    }
    match open {
        Some((label, since, _)) => {
            refuse(format!("{label} began in line {since} and does not end: the file is cut"))
        }
        None => Ok(sections),
    }
}

impl Section<'_> {
    /// What the section encodes, as that type.
    pub(crate) fn decode<T: PemObject>(&self, place: &Place) -> Result<T, TlsConfigError> {
        T::from_pem_slice(self.text.as_bytes()).map_err(|error| {
            let text = format!("{} in line {} is broken: {error}", self.label, self.line);
            TlsConfigError::new(TlsConfigErrorKind::NotPem, place, text).caused_by(error)
        })
    }

    /// Whether it has the header of an encrypted key in the old format (RFC 1421, 4.6.1.1).
    pub(crate) fn has_encryption_header(&self) -> bool {
        let mut lines = self.text.lines().skip(1);
        lines.any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    }
}

/// The labels of sections as a list for a message.
pub(crate) fn labels(sections: &[Section<'_>]) -> String {
    if sections.is_empty() {
        return "no PEM section at all".to_owned();
    }
    let mut labels: Vec<&str> = sections.iter().map(|section| section.label).collect();
    labels.dedup();
    format!("only {}", labels.join(", "))
}

/// The label of a marker.
fn label_of<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_suffix("-----")
}

/// Whether a line outside of sections looks as if it should have been in one.
fn looks_lost(line: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let has_marker = line.contains("-BEGIN ") || line.contains("-END ");
    has_marker || (line.len() >= BASE64_LINE && line.bytes().all(is_base64))
}

/// What bytes are that are no PEM, where their beginning says so.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("is empty"),
        // A long sequence in DER (ITU-T X.690, 8.1): all certificates and keys are one.
        [0x30, 0x80..=0x84, ..] => Some(
            "is DER or PKCS #12, and not PEM; `openssl x509 -inform der`, `openssl pkey -inform \
             der` or `openssl pkcs12 -nodes` converts it",
        ),
        [0x30, length, rest @ ..] if rest.len() == usize::from(*length) => {
            Some("is DER, and not PEM; `openssl pkey -inform der` converts a key")
        }
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Some("is UTF-16, and not PEM; save it as ASCII"),
        [0xef, 0xbb, 0xbf, ..] => Some("begins with a byte order mark; save it without"),
        _ => None,
    }
}

/// The length of a line of base64, except for the last of a section (RFC 7468, 2).
const BASE64_LINE: usize = 64;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;
    use rustls::pki_types::CertificateDer;
    use zeroize::Zeroizing;

    use super::*;

    fn content(bytes: &[u8]) -> Content {
        let bytes = Zeroizing::new(bytes.to_vec());
        Content { place: Place::Bytes("the test"), bytes, is_readable_by_others: false }
    }

    fn decoded(content: &Content) -> Vec<Vec<u8>> {
        let sections = sections(content).unwrap();
        let decode = |section: &Section<'_>| {
            let certificate: CertificateDer<'static> = section.decode(&content.place).unwrap();
            certificate.to_vec()
        };
        sections.iter().map(decode).collect()
    }

    const GOOD: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----";

    #[test]
    fn the_sections_are_found_with_any_ends_of_lines() {
        for (end, after) in [("\n", ""), ("\r\n", ""), (" \n", "\n\n"), ("\n", "\nsubject=x\n")] {
            let text = format!("# comment{end}{GOOD}{end}{GOOD}{after}").replace('\n', end);
            let text = text.replace("\r\r", "\r");
            assert_eq!(decoded(&content(text.as_bytes())), [[1, 2, 3], [1, 2, 3]], "{text:?}");
        }
    }

    #[test]
    fn the_line_of_a_section_is_that_of_its_first_marker() {
        let text = format!("one\n\n{GOOD}\nfive\n{GOOD}");
        let content = content(text.as_bytes());
        let lines: Vec<usize> = sections(&content).unwrap().iter().map(|one| one.line).collect();
        assert_eq!(lines, [3, 7]);
    }

    quickcheck! {
        fn no_bytes_make_it_panic(bytes: Vec<u8>) -> bool {
            let _ = sections(&content(&bytes));
            true
        }

        fn a_certificate_with_a_changed_byte_is_found_or_refused(at: usize, byte: u8) -> bool {
            let mut bytes = format!("{GOOD}\n{GOOD}\n").into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            // A section is never lost silently. One that is labelled otherwise is for the caller.
            sections(&content(&bytes)).is_ok_and(|sections| sections.len() == 2)
                || sections(&content(&bytes)).is_err()
        }
    }
}
