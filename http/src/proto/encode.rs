//! The response head.

use http::{HeaderName, HeaderValue, StatusCode};

/// The `Connection` field of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionHeader {
    /// No field: the version's default holds.
    Default,
    /// `keep-alive`, which an HTTP/1.0 client needs.
    KeepAlive,
    /// `close`
    Close,
}

impl ConnectionHeader {
    /// The field for a client of this minor version.
    #[inline]
    pub(crate) fn for_version(minor: u8, keep_alive: bool) -> Self {
        match (keep_alive, minor) {
            (false, _) => Self::Close,
            (true, 0) => Self::KeepAlive,
            (true, _) => Self::Default,
        }
    }
}

/// The fields of the head about the body (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// No field: there is no body, or it ends with the connection.
    None,
    /// `Content-Length`
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked,
}

/// The parts of a head that a handler chooses; the connection adds the others.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// The connection is to close after the response.
    pub(crate) close: bool,
    /// The fields have a `Date`, that of another server whose response this is.
    pub(crate) has_date: bool,
}

impl ResponseHead {
    #[inline]
    pub(crate) fn new(status: StatusCode) -> Self {
        Self { status, content_type: None, fields: Vec::new(), close: false, has_date: false }
    }
}

/// Writes response heads with a date that its owner keeps current.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// `HTTP/1.1 200 OK` and the date line.
    ok_and_date: Vec<u8>,
    /// The same lines and the content type of the last such response, which the next one often has
    /// too.
    usual: Vec<u8>,
    usual_type: Option<&'static str>,
    /// The length in the last such head that has no further fields.
    usual_length: Option<u64>,
    /// That head as a whole, once there were two of this length; empty before.
    whole: Vec<u8>,
}

impl Encoder {
    /// An encoder for one second: `date` is an IMF-fixdate (RFC 9110 section 5.6.7).
    pub(crate) fn new(date: &str) -> Self {
        let ok_and_date = [OK.as_bytes(), b"Date: ", date.as_bytes(), b"\r\n"].concat();
        Self {
            ok_and_date,
            usual: Vec::new(),
            usual_type: None,
            usual_length: None,
            whole: Vec::new(),
        }
    }

    /// Appends a whole head to `out`, with this content type.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        content_type: Option<&'static str>,
        framing: BodyFraming,
        connection: ConnectionHeader,
    ) {
        // The same constant has the same address: no need to compare the text.
        let is_usual = head.status == StatusCode::OK
            && head.fields.is_empty()
            && connection == ConnectionHeader::Default
            && !head.has_date
            && content_type
                .is_some_and(|own| self.usual_type.is_some_and(|usual| std::ptr::eq(usual, own)));
        match framing {
            BodyFraming::Length(length) if is_usual => self.encode_usual(out, length),
            _ => self.encode_anew(out, head, content_type, framing, connection),
        }
    }

    /// Appends a head that differs from the last one in nothing but perhaps the length.
    #[inline]
    fn encode_usual(&mut self, out: &mut Vec<u8>, length: u64) {
        out.reserve(HEAD_BYTES_USUAL);
        let is_same = self.usual_length == Some(length);
        if is_same && !self.whole.is_empty() {
            return out.extend_from_slice(&self.whole);
        }
        let start = out.len();
        out.extend_from_slice(&self.usual);
        put_last_length(out, length);
        self.whole.clear();
        self.usual_length = Some(length);
        if is_same {
            self.whole.extend_from_slice(&out[start..]);
        }
    }

    /// Appends any other head.
    #[inline(never)]
    fn encode_anew(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        content_type: Option<&'static str>,
        framing: BodyFraming,
        connection: ConnectionHeader,
    ) {
        out.reserve(HEAD_BYTES_USUAL);
        match content_type {
            Some(content_type) if head.status == StatusCode::OK && !head.has_date => {
                if !self.usual_type.is_some_and(|usual| std::ptr::eq(usual, content_type)) {
                    self.usual.clear();
                    self.usual.extend_from_slice(&self.ok_and_date);
                    put_content_type(&mut self.usual, content_type);
                    self.usual_type = Some(content_type);
                    self.usual_length = None;
                    self.whole.clear();
                }
                out.extend_from_slice(&self.usual);
            }
            _ => self.encode_slow(out, head, content_type),
        }
        put_fields(out, &head.fields);
        match connection {
            ConnectionHeader::Default => {}
            ConnectionHeader::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            ConnectionHeader::Close => out.extend_from_slice(b"Connection: close\r\n"),
        }
        match framing {
            BodyFraming::Length(length) => put_last_length(out, length),
            BodyFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            BodyFraming::None => out.extend_from_slice(b"\r\n"),
        }
    }

    /// Appends the head after which the connection switches to another protocol: of a 101 (RFC 9110
    /// section 15.2.2), or of a success for CONNECT (section 9.3.6).
    pub(crate) fn encode_upgrade(&self, out: &mut Vec<u8>, head: &ResponseHead) {
        self.encode_slow(out, head, None);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        }
        put_fields(out, &head.fields);
        out.extend_from_slice(b"\r\n");
    }

    fn encode_slow(&self, out: &mut Vec<u8>, head: &ResponseHead, content_type: Option<&str>) {
        if head.status == StatusCode::OK {
            let end = if head.has_date { OK.len() } else { self.ok_and_date.len() };
            out.extend_from_slice(&self.ok_and_date[..end]);
        } else {
            put_status_line(out, head.status);
            if !head.has_date {
                out.extend_from_slice(&self.ok_and_date[OK.len()..]);
            }
        }
        if let Some(content_type) = content_type {
            put_content_type(out, content_type);
        }
    }
}

fn put_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    // The reason may be empty; the space before it may not be left out.
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim response with these fields (RFC 9110 section 15.2).
#[cfg(feature = "proxy")]
pub(crate) fn encode_interim(
    out: &mut Vec<u8>,
    status: StatusCode,
    fields: &[(HeaderName, HeaderValue)],
) {
    put_status_line(out, status);
    put_fields(out, fields);
    out.extend_from_slice(b"\r\n");
}

/// Whether a response with this status never has a body (RFC 9110 sections 15.3.5, 15.3.6 and
/// 15.4.5).
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

#[inline]
pub(super) fn put_fields(out: &mut Vec<u8>, fields: &[(HeaderName, HeaderValue)]) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn put_content_type(out: &mut Vec<u8>, content_type: &str) {
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the interim response that lets a client send its body (RFC 9110 section 15.2.1).
pub(crate) fn encode_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Appends the `Content-Length` and the end of the head: one copy of a line that is made from its
/// end.
fn put_last_length(out: &mut Vec<u8>, length: u64) {
    let mut line = *b"Content-Length: ____________________\r\n\r\n";
    let mut at = line.len() - 4;
    let mut left = length;
    loop {
        at -= 1;
        #[allow(clippy::cast_possible_truncation)] // below 10
        let digit = (left % 10) as u8;
        line[at] = b'0' + digit;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let start = at - NAME.len();
    line[start..at].copy_from_slice(NAME);
    out.extend_from_slice(&line[start..]);
}

const NAME: &[u8] = b"Content-Length: ";

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// How many bytes are reserved at once, so that a usual head needs no further allocation.
const HEAD_BYTES_USUAL: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(status: u16, framing: BodyFraming, connection: ConnectionHeader) -> String {
        let mut out = Vec::new();
        let head = ResponseHead {
            content_type: Some("text/plain"),
            fields: vec![(http::header::ETAG, HeaderValue::from_static("\"1\""))],
            ..ResponseHead::new(StatusCode::from_u16(status).unwrap())
        };
        let mut encoder = Encoder::new("Sun, 06 Nov 1994 08:49:37 GMT");
        encoder.encode(&mut out, &head, head.content_type, framing, connection);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_is_written_in_full() {
        assert_eq!(
            encoded(200, BodyFraming::Length(0), ConnectionHeader::Default),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain\r\netag: \"1\"\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            encoded(404, BodyFraming::Length(u64::MAX), ConnectionHeader::Close),
            "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain\r\netag: \"1\"\r\nConnection: close\r\n\
             Content-Length: 18446744073709551615\r\n\r\n"
        );
    }

    #[test]
    fn a_response_of_another_server_keeps_its_date() {
        let encoder = Encoder::new("Sun, 06 Nov 1994 08:49:37 GMT");
        for (status, line) in [(200, "HTTP/1.1 200 OK\r\n"), (404, "HTTP/1.1 404 Not Found\r\n")] {
            let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
            head.fields.push((http::header::DATE, HeaderValue::from_static("then")));
            head.has_date = true;
            let mut out = Vec::new();
            encoder.encode_slow(&mut out, &head, None);
            put_fields(&mut out, &head.fields);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}date: then\r\n"));
        }
    }

    #[test]
    fn each_response_has_its_own_content_type() {
        let mut encoder = Encoder::new("Sun, 06 Nov 1994 08:49:37 GMT");
        for content_type in ["", "text/plain", "text/plain", "application/json", "text/plain"] {
            for (length, close) in
                [(1, false), (1, false), (12, false), (12, true), (12, false), (12, false)]
            {
                let mut out = b"before".to_vec();
                let of = Some(content_type);
                let head = ResponseHead::new(StatusCode::OK);
                let connection = ConnectionHeader::for_version(1, !close);
                encoder.encode(&mut out, &head, of, BodyFraming::Length(length), connection);
                let close = if close { "Connection: close\r\n" } else { "" };
                let expected = format!(
                    "beforeHTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                     Content-Type: {content_type}\r\n{close}Content-Length: {length}\r\n\r\n"
                );
                assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_head_like_the_last_one_but_for_one_thing_is_not_taken_for_it() {
        let mut encoder = Encoder::new("Sun, 06 Nov 1994 08:49:37 GMT");
        let mut encode = |head: &ResponseHead, content_type| {
            let mut out = Vec::new();
            let framing = BodyFraming::Length(3);
            encoder.encode(&mut out, head, content_type, framing, ConnectionHeader::Default);
            String::from_utf8(out).unwrap()
        };
        let usual = ResponseHead::new(StatusCode::OK);
        let first = encode(&usual, Some("text/plain"));
        let mut with_field = ResponseHead::new(StatusCode::OK);
        with_field.fields.push((http::header::ETAG, HeaderValue::from_static("\"1\"")));
        let mut with_date = ResponseHead::new(StatusCode::OK);
        with_date.has_date = true;
        for _ in 0..2 {
            assert_eq!(encode(&usual, Some("text/plain")), first);
            assert!(encode(&with_field, Some("text/plain")).contains("etag: \"1\"\r\n"));
            assert!(!encode(&with_date, Some("text/plain")).contains("Date"));
            assert!(!encode(&usual, None).contains("Content-Type"));
            let found = ResponseHead::new(StatusCode::FOUND);
            assert!(encode(&found, Some("text/plain")).starts_with("HTTP/1.1 302 Found\r\n"));
        }
        assert_eq!(encode(&usual, Some("text/plain")), first);
    }

    #[test]
    fn an_unknown_status_keeps_the_space_before_its_empty_reason() {
        assert!(
            encoded(299, BodyFraming::None, ConnectionHeader::Default)
                .starts_with("HTTP/1.1 299 \r\nDate: ")
        );
    }
}
