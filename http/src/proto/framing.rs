//! The header fields that say where the body ends, and whether the connection closes.
//!
//! The rules are those of RFC 9112 section 6, always in their strict form: if two parties could
//! read a length differently, the request is refused.

use super::chars::host_end;
use super::limits::Limits;
use super::refusal::RefusalKind;

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// After this many bytes.
    Known(u64),
    /// At the last chunk of the chunked coding.
    Chunked,
}

impl Default for BodyLength {
    fn default() -> Self {
        Self::Known(0)
    }
}

/// The value of `Transfer-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    #[default]
    None,
    Chunked,
    /// Codings that this server does not know.
    Other,
    /// Unknown codings, and `chunked` after them.
    OtherChunked,
    /// No coding, or `chunked` not at the end, or more than once.
    Faulty,
}

impl Coding {
    /// Adds the codings of one more field line (RFC 9112 section 6.1).
    #[cold]
    pub(super) fn and(self, value: &[u8]) -> Self {
        if self == Self::None && value.eq_ignore_ascii_case(b"chunked") {
            return Self::Chunked;
        }
        value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).fold(self, |before, coding| {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            match before {
                // A party that takes another coding for the last one would read another body.
                Self::Chunked | Self::Faulty => Self::Faulty,
                Self::None if is_chunked => Self::Chunked,
                _ if coding.is_empty() => Self::Faulty,
                // `chunked` after another coding is in its place, but the other coding is unknown.
                Self::None | Self::Other if !is_chunked => Self::Other,
                Self::None | Self::Other => Self::OtherChunked,
                Self::OtherChunked => Self::Faulty,
            }
        })
    }
}

/// The values of the fields, collected one by one while the head is parsed.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each bool is a header field that was seen or not
pub(super) struct RequestFraming {
    host_seen: bool,
    /// There are more fields with a meaning than a valid `Host` and `Connection: keep-alive`.
    has_more: bool,
    content_length: Option<u64>,
    coding: Coding,
    pub(super) expect_continue: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

impl RequestFraming {
    /// Whether a field with a name of that length and that first byte may be one of those that
    /// [`record`](Self::record) knows. All others can be left out.
    #[inline]
    pub(super) fn may_have_meaning(length: u32, first: u8) -> bool {
        INITIALS[length as usize % INITIALS.len()] == first | 0x20
    }

    /// Records a field, if it says something about the body or the connection.
    #[inline(never)]
    pub(super) fn record(
        &mut self,
        name: &[u8],
        value: &[u8],
        known_host: &mut KnownHost,
    ) -> Result<(), RefusalKind> {
        match name.len() {
            4 if is_host(name) => self.host(value, known_host),
            10 if is_connection(name) && value == b"keep-alive" => {
                self.keep_alive = true;
                Ok(())
            }
            _ => self.record_rare(name, value),
        }
    }

    #[cold]
    fn record_rare(&mut self, name: &[u8], value: &[u8]) -> Result<(), RefusalKind> {
        self.has_more = true;
        match name.len() {
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            10 if is_connection(name) => {
                self.connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.coding = self.coding.and(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the fields say nothing but which host is meant, and that the connection stays open.
    #[inline]
    pub(super) fn is_usual(&self) -> bool {
        self.host_seen && !self.has_more
    }

    /// The body's length, once all fields are known.
    #[inline]
    pub(super) fn body(&self, minor: u8, limits: &Limits) -> Result<BodyLength, RefusalKind> {
        if minor > 0 && !self.host_seen {
            return Err(RefusalKind::HostMissing);
        }
        if self.coding != Coding::None {
            return match (self.content_length, minor, self.coding) {
                (Some(_), ..) => Err(RefusalKind::FramingConflict),
                (None, 0, _) => Err(RefusalKind::TransferEncodingIn10),
                (None, _, Coding::Chunked) => Ok(BodyLength::Chunked),
                (None, _, Coding::Faulty) => Err(RefusalKind::TransferEncodingSyntax),
                (None, ..) => Err(RefusalKind::TransferEncoding),
            };
        }
        let length = self.content_length.unwrap_or(0);
        if length > limits.body_bytes {
            return Err(RefusalKind::BodyBytes);
        }
        Ok(BodyLength::Known(length))
    }

    fn host(&mut self, value: &[u8], known: &mut KnownHost) -> Result<(), RefusalKind> {
        if self.host_seen {
            return Err(RefusalKind::HostDuplicate);
        }
        self.host_seen = true;
        if known.is(value) { Ok(()) } else { known.check(value) }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), RefusalKind> {
        // A list, in one line or several. It may be empty, and may name an expectation twice.
        for expectation in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if expectation.eq_ignore_ascii_case(b"100-continue") {
                self.expect_continue = true;
            } else if !expectation.is_empty() {
                return Err(RefusalKind::Expectation);
            }
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), RefusalKind> {
        if self.content_length.is_some() {
            return Err(RefusalKind::ContentLengthDuplicate);
        }
        let length = parse_length(value).ok_or(RefusalKind::ContentLength)?;
        self.content_length = Some(length);
        Ok(())
    }
}

/// Whether a name, a token, is `Host`, in whatever case.
#[inline]
fn is_host(name: &[u8]) -> bool {
    // No byte of a token but the letter in its two cases becomes that letter.
    name.first_chunk().is_some_and(|name| u32::from_ne_bytes(*name) | LOWER_4 == HOST)
        && name.len() == 4
}

/// The same for `Connection`.
#[inline]
fn is_connection(name: &[u8]) -> bool {
    let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) else { return false };
    u64::from_ne_bytes(*first) | LOWER_8 == CONNECTI
        && u64::from_ne_bytes(*last) | LOWER_8 == NNECTION
        && name.len() == 10
}

/// The bits that make letters small.
const LOWER_4: u32 = u32::from_ne_bytes([0x20; 4]);
const LOWER_8: u64 = u64::from_ne_bytes([0x20; 8]);

const HOST: u32 = u32::from_ne_bytes(*b"host");
const CONNECTI: u64 = u64::from_ne_bytes(*b"connecti");
const NNECTION: u64 = u64::from_ne_bytes(*b"nnection");

/// For each length of a name, the first letter of the name that [`RequestFraming::record`] knows.
const INITIALS: [u8; 32] = {
    let mut initials = [0; 32];
    let mut index = 0;
    while index < NAMES.len() {
        let length = NAMES[index].len();
        assert!(initials[length] == 0, "two names of one length");
        initials[length] = NAMES[index].as_bytes()[0];
        index += 1;
    }
    initials
};

/// The fields that say something about the body or the connection.
const NAMES: [&str; 5] = ["host", "expect", "connection", "content-length", "transfer-encoding"];

/// The number of a `Content-Length`; `None` if the value is anything else than one number.
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    // Some implementations read a number with a zero in front as octal.
    if value.is_empty() || (value.len() > 1 && value[0] == b'0') {
        return None;
    }
    let mut length = 0_u64;
    for &byte in value {
        let digit = match byte {
            b'0'..=b'9' => u64::from(byte - b'0'),
            _ => return None,
        };
        length = length.checked_mul(10)?.checked_add(digit)?;
    }
    Some(length)
}

/// The last `Host` that was found valid. The next request nearly always has the same.
#[derive(Debug, Default)]
pub(super) struct KnownHost(Vec<u8>);

impl KnownHost {
    #[inline]
    fn is(&self, value: &[u8]) -> bool {
        let known = &self.0[..];
        if known.len() != value.len() || value.is_empty() {
            return false;
        }
        // Most hosts are not longer than 16 bytes, and a call of `memcmp` would cost more than
        // these comparisons.
        let ends = |host: &[u8]| Some((*host.first_chunk::<8>()?, *host.last_chunk::<8>()?));
        match ends(known) {
            Some(ends_of_known) if known.len() <= 16 => ends(value) == Some(ends_of_known),
            _ => known == value,
        }
    }

    /// Checks another host than the last one.
    #[cold]
    #[inline(never)]
    fn check(&mut self, value: &[u8]) -> Result<(), RefusalKind> {
        if !is_authority(value) {
            return Err(RefusalKind::Host);
        }
        if value.len() <= KNOWN_HOST_BYTES_MAX {
            self.0.clear();
            self.0.extend_from_slice(value);
        }
        Ok(())
    }
}

/// A longer host is checked each time. Arbitrary: most names are shorter.
const KNOWN_HOST_BYTES_MAX: usize = 64;

/// `uri-host [ ":" port ]` of RFC 9110 section 7.2; the host may not be empty.
#[inline]
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let end = host_end(value);
    if end == 0 {
        return is_literal_authority(value);
    }
    is_port(&value[end..]) && is_well_encoded(&value[..end])
}

/// Whether each percent sign has its two hexadecimal digits (RFC 3986 section 2.1).
fn is_well_encoded(host: &[u8]) -> bool {
    host.split(|&byte| byte == b'%').skip(1).all(|behind| {
        let digits = behind.first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The same for an IP literal in brackets. Code that resolves the literal checks its inside.
#[cold]
fn is_literal_authority(value: &[u8]) -> bool {
    let Some(literal) = value.strip_prefix(b"[") else {
        return false;
    };
    let Some(end) = literal.iter().position(|&byte| byte == b']') else {
        return false;
    };
    let (inside, rest) = (&literal[..end], &literal[end + 1..]);
    let mut parts = inside.split(|&byte| byte == b':');
    let is_of_host = parts.all(|part| host_end(part) == part.len());
    end > 0 && is_of_host && is_well_encoded(inside) && is_port(rest)
}

/// Nothing, or a colon and at most five digits.
#[inline]
fn is_port(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_maybe_a_port() {
        let good: [&[u8]; 9] = [
            b"a",
            b"example.com",
            b"127.0.0.1:80",
            b"[::1]",
            b"[::1]:8080",
            b"a:",
            b"x_y:65535",
            b"%41%c3%A9.example:80",
            b"[fe80::1%25eth0]",
        ];
        let bad: [&[u8]; 17] = [
            b"%",
            b"a%4",
            b"a%zz:80",
            b"%%41",
            b"a%4:1",
            b"[::1%]",
            b"",
            b":80",
            b"a b",
            b"a:8x",
            b"a:123456",
            b"[::1",
            b"[]",
            b"[::1]x",
            b"a/b",
            b"a@b",
            b"\x80",
        ];
        for value in good {
            assert!(is_authority(value), "{}", value.escape_ascii());
        }
        for value in bad {
            assert!(!is_authority(value), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_host_that_is_not_the_known_one_is_checked() {
        for (known, other) in [
            ("a.example", "b.example"),
            ("a.example", "a.exam le"),
            ("a.b", "a b"),
            ("0123456789abcdef", "01234567/9abcdef"),
            ("0123456789abcdef-", "01234567 9abcdef-"),
            ("0123456789abcdef-", "0123456789abcdef/"),
        ] {
            let mut host = KnownHost::default();
            assert_eq!(host.check(known.as_bytes()), Ok(()));
            assert!(host.is(known.as_bytes()), "{known}");
            assert!(!host.is(other.as_bytes()), "{known} and {other}");
            assert!(!host.is(b"") && !host.is(&known.as_bytes()[1..]), "{known}");
        }
        assert!(!KnownHost::default().is(b""));
    }

    #[test]
    fn a_host_is_kept_only_if_it_is_valid_and_short() {
        let mut host = KnownHost::default();
        assert_eq!(host.check(b"a b"), Err(RefusalKind::Host));
        assert!(host.0.is_empty());
        let short = [b'a'; KNOWN_HOST_BYTES_MAX];
        assert_eq!(host.check(&short), Ok(()));
        assert!(host.is(&short));
        let long = [b'a'; KNOWN_HOST_BYTES_MAX + 1];
        assert_eq!(host.check(&long), Ok(()));
        assert!(host.is(&short) && !host.is(&long));
    }

    #[test]
    fn only_the_whole_name_is_meant() {
        let mut framing = RequestFraming::default();
        for name in ["Connectixx", "xxnnection", "Hosx", "xost", "Expecx", "content-lengtx"] {
            let recorded = framing.record(name.as_bytes(), b"close", &mut KnownHost::default());
            assert_eq!(recorded, Ok(()), "{name}");
        }
        assert!(!framing.close && !framing.keep_alive && !framing.host_seen);
        for (value, close, keep_alive) in [("keep-alive", false, true), ("x, Close", true, false)] {
            let mut framing = RequestFraming::default();
            let name = b"CONNECTION";
            framing.record(name, value.as_bytes(), &mut KnownHost::default()).expect("no refusal");
            assert_eq!((framing.close, framing.keep_alive), (close, keep_alive));
        }
    }
}
