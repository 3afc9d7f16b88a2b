//! The path of a request as the name of a file below a directory.
//!
//! The name is made of bytes, as file names are: no step takes two spellings for the same text, so
//! an overlong UTF-8 form of a dot or a slash stays what it is. A slash that is percent-encoded
//! belongs to no name, and neither does a zero byte.

use std::fmt::Write;

/// A name below a directory, without a slash at its begin and its end, and without the segments `.`
/// and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: Vec<u8>,
    /// The path has ended with a slash.
    is_folder: bool,
}

/// Why a path is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoName {
    /// A percent sign without two hexadecimal digits, or a zero byte.
    Malformed,
    /// No file has such a name, or none that is served.
    Refused,
}

impl Name {
    /// Decodes a path (RFC 3986 section 2.1). Slashes in a row count as one. A segment that begins
    /// with a dot is refused, except for `.well-known` (RFC 8615), or unless `shows_dotfiles`; `.`
    /// and `..` always are.
    pub(crate) fn decode(path: &str, shows_dotfiles: bool) -> Result<Self, NoName> {
        let mut bytes = Vec::with_capacity(path.len() + ROOM);
        let mut is_folder = true;
        for segment in path.split('/') {
            is_folder = segment.is_empty();
            if is_folder {
                continue;
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            let begin = bytes.len();
            decode_segment(segment.as_bytes(), &mut bytes)?;
            let segment = &bytes[begin..];
            let is_hidden = segment.starts_with(b".") && segment != WELL_KNOWN;
            let is_special = segment == b"." || segment == b"..";
            if is_special || segment.contains(&b'/') || (is_hidden && !shows_dotfiles) {
                return Err(NoName::Refused);
            }
        }
        if bytes.len() > BYTES_MAX {
            return Err(NoName::Refused);
        }
        Ok(Self { bytes, is_folder })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The name of a file in this folder.
    pub(crate) fn join(mut self, file: &str) -> Self {
        if !self.bytes.is_empty() {
            self.bytes.push(b'/');
        }
        self.bytes.extend_from_slice(file.as_bytes());
        self.is_folder = false;
        self
    }

    /// The path of this name as a folder: with a slash at its end, and with only such bytes as no
    /// client takes for something else.
    pub(crate) fn to_folder_path(&self) -> String {
        let mut path = "/".to_owned();
        for &byte in &self.bytes {
            if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
                path.push(char::from(byte));
            } else {
                let _ = write!(path, "%{byte:02X}"); // a string takes everything
            }
        }
        if !self.bytes.is_empty() {
            path.push('/');
        }
        path
    }
}

fn decode_segment(segment: &[u8], bytes: &mut Vec<u8>) -> Result<(), NoName> {
    let mut rest = segment;
    while let Some(percent) = rest.iter().position(|&byte| byte == b'%') {
        bytes.extend_from_slice(&rest[..percent]);
        let (Some(high), Some(low)) = (digit(rest, percent + 1), digit(rest, percent + 2)) else {
            return Err(NoName::Malformed);
        };
        match high << 4 | low {
            0 => return Err(NoName::Malformed),
            byte => bytes.push(byte),
        }
        rest = &rest[percent + 3..];
    }
    bytes.extend_from_slice(rest);
    Ok(())
}

fn digit(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = char::from(*bytes.get(at)?).to_digit(16)?;
    u8::try_from(digit).ok()
}

const WELL_KNOWN: &[u8] = b".well-known";

/// No system opens a longer path (`PATH_MAX`).
const BYTES_MAX: usize = 4095;

/// Room for the name of an index file behind the path. Arbitrary.
const ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(path: &str) -> Result<(String, bool), NoName> {
        let name = Name::decode(path, false)?;
        Ok((String::from_utf8_lossy(&name.bytes).into_owned(), name.is_folder))
    }

    #[test]
    fn names_and_folders() {
        let cases = [
            ("/", "", true),
            ("", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.txt", "a/b.txt", false),
            ("//a///b//", "a/b", true),
            ("/a%20b%2B+c", "a b++c", false),
            ("/%C3%A4", "ä", false),
            ("/a%5Cb", "a\\b", false),
            ("/a..b/c.", "a..b/c.", false),
            ("/.well-known/acme", ".well-known/acme", false),
            ("/%2ewell-known/a", ".well-known/a", false),
            ("/a%2525", "a%25", false),
        ];
        for (path, name, is_folder) in cases {
            assert_eq!(decoded(path), Ok((name.to_owned(), is_folder)), "{path}");
        }
    }

    #[test]
    fn what_is_no_name() {
        for path in ["/%", "/%2", "/%2/a", "/%zz", "/%+1", "/a%00", "/%00"] {
            assert_eq!(decoded(path), Err(NoName::Malformed), "{path}");
        }
        let long = format!("/{}", "a".repeat(BYTES_MAX + 1));
        let deep = "/a".repeat(BYTES_MAX);
        for path in [
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/.",
            "/./a",
            "/%2e%2e/a",
            "/.%2e/a",
            "/%2E%2e",
            "/a%2fb",
            "/%2f",
            "/%2fetc",
            "/..%2fa",
            "/.git",
            "/a/.git/b",
            "/.well-known/.a",
            "/.well-knowN",
            "/...",
            "/..a",
            &long,
            &deep,
        ] {
            assert_eq!(decoded(path), Err(NoName::Refused), "{path}");
        }
        assert_eq!(Name::decode("/.git", true).map(|name| name.bytes), Ok(b".git".to_vec()));
        for path in ["/..", "/.", "/%2e%2E/a"] {
            assert_eq!(Name::decode(path, true), Err(NoName::Refused), "{path}");
        }
    }

    #[test]
    fn a_folders_path_stays_on_its_site() {
        for (path, expected) in [
            ("//evil.example", "/evil.example/"),
            ("/\\evil.example", "/%5Cevil.example/"),
            ("///%5c/", "/%5C/"),
            ("/a%0d%0ab: c", "/a%0D%0Ab:%20c/"),
            ("/ä%3f%23", "/%C3%A4%3F%23/"),
            ("/", "/"),
        ] {
            let name = Name::decode(path, false).unwrap();
            assert_eq!(name.to_folder_path(), expected, "{path}");
        }
    }

    quickcheck::quickcheck! {
        /// Joined to a directory as text, the name stays below it.
        fn no_path_leaves_its_directory(parts: Vec<u8>, shows_dotfiles: bool) -> bool {
            const PARTS: [&str; 16] = [
                "/", ".", "..", "%2e", "%2F", "a", "%", "%00", "\\", "%5c", "2e", "%25", "//",
                "%c0%ae", "ä", "b",
            ];
            let path: String =
                parts.iter().map(|&part| PARTS[usize::from(part) % PARTS.len()]).collect();
            let Ok(name) = Name::decode(&path, shows_dotfiles) else { return true };
            let segments: Vec<_> = name.bytes.split(|&byte| byte == b'/').collect();
            let is_root = name.bytes.is_empty();
            let again = Name::decode(&name.to_folder_path(), shows_dotfiles);
            let is_below = |part: &&[u8]| !part.is_empty() && *part != b"." && *part != b"..";
            (is_root || segments.iter().all(is_below))
                && !name.bytes.contains(&0)
                && again.is_ok_and(|again| again.bytes == name.bytes && again.is_folder)
        }
    }
}
