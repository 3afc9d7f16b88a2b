//! The head of a response that another server has sent: what a client has to know of it.
//!
//! The parser is called with all bytes of the head so far. It looks for the empty line, each byte
//! once, and parses the head when the empty line has come. So a head that arrives byte by byte
//! costs time linear in its length.
//!
//! Strictness is that of requests: only CR LF ends a line, no whitespace before a colon, no folded
//! lines, no control bytes. A response whose end two parties could find in different places is
//! refused (RFC 9112 section 6.3): one with two lengths, with a length and a transfer coding, with
//! another coding than `chunked`, or with a coding in HTTP/1.0. An interim response that announces
//! a body is refused too: another response has to follow it, and may begin in two places. A 204
//! that announces one is taken, because nothing has to follow it: its connection is not kept.

use std::fmt;

use http::StatusCode;

use super::chars::{token_end, value_end};
use super::fields::{Field, Headers};
use super::framing::{Coding, parse_length};

/// The head of a response; offsets count from its first byte.
#[derive(Debug)]
pub(crate) struct ReceivedHead {
    pub(crate) status: StatusCode,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: ReceivedBody,
    /// `Content-Length`, also of a response that has no body, such as one to HEAD.
    pub(crate) content_length: Option<u64>,
    /// Another request may follow on the connection, once the body has ended.
    pub(crate) keep_alive: bool,
    /// The status forbids a body, and the fields announce one (RFC 9110 section 8.6, RFC 9112
    /// section 6.1). The body may follow all the same.
    pub(crate) is_misframed: bool,
    /// Where the body begins.
    pub(crate) end: usize,
}

/// Where the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceivedBody {
    /// After this many bytes.
    Known(u64),
    /// At the last chunk of the chunked coding.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    pub(crate) head_bytes: usize,
    pub(crate) fields: usize,
}

/// Why a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFault {
    StatusLine,
    LineEnd,
    FieldName,
    FieldValue,
    HeadBytes,
    Fields,
    ContentLength,
    TransferEncoding,
    FramingConflict,
    InterimBody,
}

/// Finds the end of a head.
#[derive(Debug, Default)]
pub(crate) struct ResponseParser {
    /// How many bytes have been searched for line ends.
    searched: usize,
    /// Where the line begins that has not ended yet.
    line: usize,
}

impl ReceivedHead {
    /// The fields; `bytes` begins with the first byte of the head.
    pub(crate) fn headers<'h>(&'h self, bytes: &'h [u8]) -> Headers<'h> {
        Headers::received(bytes, &self.fields)
    }
}

impl ResponseParser {
    /// Parses the head at the beginning of `bytes`; `None` if its end has not arrived yet. After a
    /// whole head the parser is ready for the next one. `is_head` says that the request's method
    /// was HEAD.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        is_head: bool,
        bounds: HeadBounds,
    ) -> Result<Option<ReceivedHead>, ResponseFault> {
        // Bytes that cannot become a status line are refused at once, and not at the limit.
        if !bytes.iter().zip(VERSION).all(|(byte, expected)| byte == expected) {
            return Err(ResponseFault::StatusLine);
        }
        let Some(end) = self.find_end(bytes)? else {
            let is_full = bytes.len() >= bounds.head_bytes;
            return if is_full { Err(ResponseFault::HeadBytes) } else { Ok(None) };
        };
        if end > bounds.head_bytes {
            return Err(ResponseFault::HeadBytes);
        }
        *self = Self::default();
        parse_head(&bytes[..end], is_head, bounds.fields).map(Some)
    }

    /// The position behind the empty line.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, ResponseFault> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let at = self.searched + found;
            if at == self.line || bytes[at - 1] != b'\r' {
                return Err(ResponseFault::LineEnd);
            }
            if at == self.line + 1 {
                return Ok(Some(at + 1));
            }
            (self.searched, self.line) = (at + 1, at + 1);
        }
        self.searched = bytes.len();
        Ok(None)
    }
}

/// What the fields say about the body and the connection.
#[derive(Default)]
struct Framing {
    content_length: Option<u64>,
    coding: Coding,
    close: bool,
    keep_alive: bool,
}

/// Parses a whole head, whose lines all end with CR LF.
fn parse_head(
    head: &[u8],
    is_head: bool,
    fields_max: usize,
) -> Result<ReceivedHead, ResponseFault> {
    let (status, minor, mut line) = parse_status_line(head)?;
    let mut fields = Vec::with_capacity(FIELDS_USUAL);
    let mut framing = Framing::default();
    while head[line] != b'\r' || line + 2 < head.len() {
        let name_end = token_end(head, line);
        if name_end == line || head[name_end] != b':' {
            return Err(ResponseFault::FieldName);
        }
        let end = value_end(head, name_end + 1);
        if head[end] != b'\r' || head.get(end + 1) != Some(&b'\n') {
            return Err(ResponseFault::FieldValue);
        }
        let (from, to) = trim(head, name_end + 1, end);
        if fields.len() == fields_max {
            return Err(ResponseFault::Fields);
        }
        framing.record(&head[line..name_end], &head[from..to])?;
        fields.push(Field::new(line..name_end, from..to));
        line = end + 2;
    }
    let body = framing.body(status, minor, is_head)?;
    let keep_alive = (minor > 0 || framing.keep_alive) && !framing.close;
    let is_misframed = status == StatusCode::NO_CONTENT && framing.announces_body();
    // A 304 may have a coding that a 200 would have. Servers that send one are so rare that a new
    // connection costs less than the trust that they leave the body out.
    let is_doubtful = status == StatusCode::NOT_MODIFIED && framing.coding != Coding::None;
    let has_end = body != ReceivedBody::UntilClose && !is_misframed && !is_doubtful;
    Ok(ReceivedHead {
        status,
        fields,
        body,
        content_length: framing.content_length,
        keep_alive: keep_alive && has_end,
        is_misframed,
        end: head.len(),
    })
}

/// `HTTP/1.x SP 3DIGIT SP [ reason ] CR LF`; the space behind the status may be missing, as some
/// servers leave it out with the reason. Returns also where the next line begins.
fn parse_status_line(head: &[u8]) -> Result<(StatusCode, u8, usize), ResponseFault> {
    let fault = ResponseFault::StatusLine;
    let rest = head.strip_prefix(VERSION).ok_or(fault)?;
    let [minor @ b'0'..=b'9', b' ', status @ ..] = rest else { return Err(fault) };
    let (status, rest) = status.split_first_chunk::<3>().ok_or(fault)?;
    let status = StatusCode::from_bytes(status).map_err(|_| fault)?;
    if status.as_u16() > STATUS_MAX || !matches!(rest, [b' ' | b'\r', ..]) {
        return Err(fault);
    }
    let end = value_end(head, head.len() - rest.len());
    if head[end] != b'\r' || head.get(end + 1) != Some(&b'\n') {
        return Err(fault);
    }
    Ok((status, u8::from(*minor != b'0'), end + 2))
}

/// The part of `head[from..to]` without the spaces and tabs around it.
fn trim(head: &[u8], from: usize, to: usize) -> (usize, usize) {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &head[from..to];
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |at| at + 1);
    (from + start, from + end)
}

impl Framing {
    fn record(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseFault> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.content_length.is_some() {
                    return Err(ResponseFault::ContentLength);
                }
                let length = parse_length(value).ok_or(ResponseFault::ContentLength)?;
                self.content_length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.coding = self.coding.and(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 section 6.3.
    fn body(
        &self,
        status: StatusCode,
        minor: u8,
        is_head: bool,
    ) -> Result<ReceivedBody, ResponseFault> {
        if self.coding != Coding::None {
            match (self.content_length, minor, self.coding) {
                (Some(_), ..) => return Err(ResponseFault::FramingConflict),
                (None, 1, Coding::Chunked) => {}
                _ => return Err(ResponseFault::TransferEncoding),
            }
        }
        if status.is_informational() && self.announces_body() {
            return Err(ResponseFault::InterimBody);
        }
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match (self.coding, self.content_length) {
            _ if is_head || has_none => ReceivedBody::Known(0),
            (Coding::Chunked, _) => ReceivedBody::Chunked,
            (_, Some(length)) => ReceivedBody::Known(length),
            (_, None) => ReceivedBody::UntilClose,
        })
    }

    /// Whether the fields say that a body follows.
    fn announces_body(&self) -> bool {
        self.coding != Coding::None || self.content_length.is_some_and(|length| length > 0)
    }
}

impl fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusLine => "a malformed status line",
            Self::LineEnd => "a line that does not end with CR LF",
            Self::FieldName => "a malformed field name",
            Self::FieldValue => "a malformed field value",
            Self::HeadBytes => "a head that is too long",
            Self::Fields => "too many fields",
            Self::ContentLength => "a Content-Length that is not one number",
            Self::TransferEncoding => "a Transfer-Encoding other than `chunked`",
            Self::FramingConflict => "both a Content-Length and a Transfer-Encoding",
            Self::InterimBody => "an interim status and a body",
        })
    }
}

const VERSION: &[u8] = b"HTTP/1.";

/// RFC 9110 section 15: the classes of status codes end with 5xx.
const STATUS_MAX: u16 = 599;

/// How many fields a usual response has, so that the list grows once.
const FIELDS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { head_bytes: 100, fields: 3 };

    fn parse(text: &str, is_head: bool) -> Result<Option<ReceivedHead>, ResponseFault> {
        let whole = ResponseParser::default().parse(text.as_bytes(), is_head, BOUNDS);
        // Byte by byte the outcome is the same.
        let mut parser = ResponseParser::default();
        let steps = (0..=text.len()).map(|end| &text.as_bytes()[..end]);
        let last = steps.map(|bytes| parser.parse(bytes, is_head, BOUNDS)).find(|step| {
            !matches!(step, Ok(None)) // decided
        });
        let seen = |outcome: &Result<Option<ReceivedHead>, ResponseFault>| match outcome {
            Ok(head) => Ok(head.as_ref().map(|head| (head.status, head.body, head.end))),
            Err(fault) => Err(*fault),
        };
        assert_eq!(seen(&last.unwrap_or(Ok(None))), seen(&whole), "{text:?}");
        whole
    }

    /// The fields, and what follows from them.
    type End = (&'static str, &'static str, Result<(ReceivedBody, bool), ResponseFault>);

    /// The method of the request and the status; the fields; where the body ends, and whether
    /// another request may follow.
    const ENDS: &[End] = &{
        use ReceivedBody::{Chunked, Known, UntilClose};
        use ResponseFault::{ContentLength, FramingConflict, InterimBody, TransferEncoding};
        const NONE: &str = "";
        const FIVE: &str = "Content-Length: 5\r\n";
        const ZERO: &str = "Content-Length: 0\r\n";
        const CHUNKED: &str = "transfer-encoding: Chunked\r\n";
        const BOTH: &str = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        const BOTH_TURNED: &str = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
        [
            // Rule 1: the first empty line is the end, whatever the fields say.
            ("HEAD 200", NONE, Ok((Known(0), true))),
            ("HEAD 200", FIVE, Ok((Known(0), true))),
            ("HEAD 200", CHUNKED, Ok((Known(0), true))),
            ("HEAD 200", BOTH, Err(FramingConflict)),
            ("HEAD 204", FIVE, Ok((Known(0), false))),
            ("GET 100", NONE, Ok((Known(0), true))),
            ("GET 100", ZERO, Ok((Known(0), true))),
            ("GET 100", FIVE, Err(InterimBody)),
            ("GET 103", CHUNKED, Err(InterimBody)),
            ("HEAD 103", FIVE, Err(InterimBody)),
            ("GET 101", CHUNKED, Err(InterimBody)),
            ("GET 204", NONE, Ok((Known(0), true))),
            ("GET 204", ZERO, Ok((Known(0), true))),
            ("GET 204", FIVE, Ok((Known(0), false))),
            ("GET 204", CHUNKED, Ok((Known(0), false))),
            ("GET 204", BOTH, Err(FramingConflict)),
            ("GET 304", NONE, Ok((Known(0), true))),
            ("GET 304", FIVE, Ok((Known(0), true))),
            ("GET 304", CHUNKED, Ok((Known(0), false))),
            // Rule 3: a length and a coding.
            ("GET 200", BOTH, Err(FramingConflict)),
            ("GET 200", BOTH_TURNED, Err(FramingConflict)),
            // Rule 4: the coding is `chunked`, once and last. Others are not known here.
            ("GET 200", CHUNKED, Ok((Chunked, true))),
            ("GET 205", CHUNKED, Ok((Chunked, true))),
            ("GET 200", "Transfer-Encoding: gzip, chunked\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: chunked, gzip\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: gzip\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: identity\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding:\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: ,chunked\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: chunked,\r\n", Err(TransferEncoding)),
            ("GET 200", "Transfer-Encoding: chunked;a=b\r\n", Err(TransferEncoding)),
            (
                "GET 200",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(TransferEncoding),
            ),
            // Rule 5: a length that is not one number.
            ("GET 200", "Content-Length: 5\r\nContent-Length: 5\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: 5\r\nContent-Length: 6\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: 5, 5\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: +5\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: 05\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: 0x5\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length: 18446744073709551616\r\n", Err(ContentLength)),
            ("GET 200", "Content-Length:\r\n", Err(ContentLength)),
            ("GET 304", "Content-Length: x\r\n", Err(ContentLength)),
            // Rule 6: a length.
            ("GET 200", FIVE, Ok((Known(5), true))),
            ("GET 404", "Content-Length:5 \t\r\n", Ok((Known(5), true))),
            ("GET 205", FIVE, Ok((Known(5), true))),
            // Rule 8: neither.
            ("GET 200", NONE, Ok((UntilClose, false))),
            ("GET 205", NONE, Ok((UntilClose, false))),
        ]
    };

    /// RFC 9112 section 6.3: where a body ends, and whether another request may follow. The second
    /// rule, of a 2xx to CONNECT, is not here: the proxy passes no CONNECT on.
    #[test]
    fn the_end_of_a_body_is_that_of_the_rfc() {
        for &(what, fields, expected) in ENDS {
            let (method, status) = what.split_once(' ').expect("a method and a status");
            let text = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
            let seen = parse(&text, method == "HEAD").map(|head| {
                let head = head.expect("a whole head");
                assert_eq!(head.is_misframed, status == "204" && !head.keep_alive, "{text}");
                (head.body, head.keep_alive)
            });
            assert_eq!(seen, expected, "{method} and {text}");
        }
        let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(old, false).err(), Some(ResponseFault::TransferEncoding));
        let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true);
        assert_eq!(head.expect("good").expect("whole").content_length, Some(5));
    }

    #[test]
    fn a_connection_is_kept_as_the_version_says() {
        for (text, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 204 No Content\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 204 No Content\r\n\r\n", false),
            ("HTTP/1.0 204 No Content\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("HTTP/1.9 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            let head = parse(text, false).expect("good").expect("whole");
            assert_eq!(head.keep_alive, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_response_is_refused_as_soon_as_it_is_known() {
        for (text, expected) in [
            ("SSH-2.0", ResponseFault::StatusLine),
            ("HTTP/2", ResponseFault::StatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 600 OK\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 200 \x01\r\n\r\n", ResponseFault::StatusLine),
            ("HTTP/1.1 200 OK\n", ResponseFault::LineEnd),
            ("HTTP/1.1 200 OK\r\na: b\n", ResponseFault::LineEnd),
            ("HTTP/1.1 200 OK\r\n\n", ResponseFault::LineEnd),
            ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", ResponseFault::FieldName),
            ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", ResponseFault::FieldName),
            ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", ResponseFault::FieldName),
            ("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", ResponseFault::FieldValue),
            ("HTTP/1.1 200 OK\r\na: \0\r\n\r\n", ResponseFault::FieldValue),
            ("HTTP/1.1 200 OK\r\na:\r\na:\r\na:\r\na:\r\n\r\n", ResponseFault::Fields),
        ] {
            assert_eq!(parse(text, false).err(), Some(expected), "{text:?}");
        }
        assert!(parse("HTTP/1.1 200\r\na:\r\na:\r\na:\r\n\r\n", false).is_ok());
    }

    #[test]
    fn a_head_has_its_limit_to_the_byte() {
        let head = |bytes: usize| {
            let rest = "HTTP/1.1 200 OK\r\na: \r\n\r\n".len();
            format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(bytes - rest))
        };
        for (bytes, is_good) in [(99, true), (100, true), (101, false)] {
            let text = head(bytes);
            assert_eq!(text.len(), bytes);
            assert_eq!(parse(&text, false).is_ok(), is_good, "{bytes}");
        }
        assert!(matches!(parse(&head(200)[..99], false), Ok(None)));
        assert_eq!(parse(&head(200)[..100], false).err(), Some(ResponseFault::HeadBytes));
    }
}
