//! A request as the bytes that a client sends, and what the client has to know of it to read the
//! response.

use http::{HeaderName, HeaderValue, Method, header};

/// A request of a test, before it is written.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// The request target, percent-encoded.
    pub(super) target: String,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
    /// The body is sent in chunks, and not with its length.
    pub(super) is_chunked: bool,
}

impl Outgoing {
    /// The request line, for messages.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// Whether a server may get this request twice (RFC 9110 section 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Whether the client asks for the end of the connection.
    pub(super) fn closes(&self) -> bool {
        self.fields.iter().any(|(name, value)| {
            *name == header::CONNECTION && value.as_bytes().eq_ignore_ascii_case(b"close")
        })
    }

    /// The head, with a `Host` field for `host` if the test has set none.
    pub(super) fn head(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} HTTP/1.1\r\n", self.line()).into_bytes();
        let is_set = |name: HeaderName| self.fields.iter().any(|(other, _)| *other == name);
        if !is_set(header::HOST) {
            put(&mut head, "host", host.as_bytes());
        }
        for (name, value) in &self.fields {
            put(&mut head, name.as_str(), value.as_bytes());
        }
        if self.is_chunked {
            put(&mut head, "transfer-encoding", b"chunked");
        } else if self.has_length() && !is_set(header::CONTENT_LENGTH) {
            put(&mut head, "content-length", self.body.len().to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The body, in its framing.
    pub(super) fn framed_body(&self) -> Vec<u8> {
        if !self.is_chunked {
            return self.body.clone();
        }
        let mut framed = Vec::new();
        for piece in self.body.chunks(CHUNK_BYTES) {
            framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }

    /// RFC 9110 section 8.6: a method that usually has content gets a length even if there is none.
    fn has_length(&self) -> bool {
        let usually = [Method::POST, Method::PUT, Method::PATCH];
        !self.body.is_empty() || usually.contains(&self.method)
    }
}

fn put(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
}

/// How many bytes of a body are a chunk. Arbitrary: small, so that most bodies have several.
const CHUNK_BYTES: usize = 1000;
