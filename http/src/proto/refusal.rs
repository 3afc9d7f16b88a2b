//! Every reason to refuse a request, with its status.

use std::fmt;

use http::StatusCode;

/// A request that is not served: what is wrong with it, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub kind: RefusalKind,
    /// The byte, counted from the first of the request, where it was noticed; of what cannot begin
    /// a request, from the first that came.
    pub offset: u64,
}

macro_rules! refusals {
    ($($(#[$doc:meta])+ $name:ident => $status:ident, $text:literal;)+) => {
        /// What is wrong with a refused request.
        ///
        /// ```
        /// use straightline::{RefusalKind, StatusCode};
        ///
        /// assert_eq!(RefusalKind::Method.status(), StatusCode::BAD_REQUEST);
        /// assert_eq!(RefusalKind::Method.text(), "malformed method");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum RefusalKind {
            $($(#[$doc])+ $name,)+
        }

        impl RefusalKind {
            /// The status that the client is answered with.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// One line for the client and for the log.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

refusals! {
    /// Not a method token followed by one space. Usually TLS or another protocol on this port.
    Method => BAD_REQUEST, "malformed method";
    /// A byte that no request target may hold, or a target in none of the forms that its method
    /// allows (RFC 9112 section 3.2).
    Target => BAD_REQUEST, "malformed request target";
    /// Something else than `HTTP/` digit `.` digit at the end of the request line.
    VersionSyntax => BAD_REQUEST, "malformed HTTP version";
    /// A version that is not 1.x.
    Version => HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are served here";
    /// More empty lines before the request, or where it would begin, than a sloppy client leaves.
    EmptyLines => BAD_REQUEST, "too many empty lines before the request";
    /// A line that does not end with CR LF, or a CR elsewhere.
    LineEnd => BAD_REQUEST, "malformed line end";
    /// A header name that is not a token, or is not followed by its colon at once; a folded line.
    FieldName => BAD_REQUEST, "malformed header name";
    /// A control byte in a header value.
    FieldValue => BAD_REQUEST, "malformed header value";
    /// HTTP/1.1 without `Host`.
    HostMissing => BAD_REQUEST, "missing Host header";
    /// More than one `Host`.
    HostDuplicate => BAD_REQUEST, "more than one Host header";
    /// A `Host` that is not a host with an optional port.
    Host => BAD_REQUEST, "malformed Host header";
    /// A `Content-Length` that is not a plain number, or one with zeros in front, which some read
    /// as octal.
    ContentLength => BAD_REQUEST, "malformed Content-Length header";
    /// More than one `Content-Length`, equal ones included: who counts differently reads another
    /// request.
    ContentLengthDuplicate => BAD_REQUEST, "more than one Content-Length header";
    /// Both `Content-Length` and `Transfer-Encoding`: request smuggling's favourite.
    FramingConflict => BAD_REQUEST, "both Content-Length and Transfer-Encoding";
    /// `Transfer-Encoding` in HTTP/1.0, which does not know it.
    TransferEncodingIn10 => BAD_REQUEST, "Transfer-Encoding in HTTP/1.0";
    /// A `Transfer-Encoding` without a coding, or with `chunked` before another one or twice: where
    /// the body ends depends on who reads it.
    TransferEncodingSyntax => BAD_REQUEST, "malformed Transfer-Encoding header";
    /// A `Transfer-Encoding` with other codings than `chunked`.
    TransferEncoding => NOT_IMPLEMENTED, "transfer codings other than chunked are not implemented";
    /// CONNECT with a body, which it cannot have: what follows the head is the tunnel's.
    ConnectBody => BAD_REQUEST, "a CONNECT request with a body";
    /// An `Expect` other than `100-continue`.
    Expectation => EXPECTATION_FAILED, "unknown expectation";
    /// Malformed framing in a chunked body.
    Chunk => BAD_REQUEST, "malformed chunk";
    /// A trailer that is about where the message ends or goes: `Content-Length`,
    /// `Transfer-Encoding`, `Host`. Others that belong into the head are ignored.
    TrailerField => BAD_REQUEST, "a trailer that belongs into the head";
    /// [`Limits::request_line_bytes`](super::Limits::request_line_bytes).
    RequestLineBytes => URI_TOO_LONG, "request line too long";
    /// [`Limits::field_line_bytes`](super::Limits::field_line_bytes).
    FieldLineBytes => REQUEST_HEADER_FIELDS_TOO_LARGE, "header line too long";
    /// [`Limits::head_bytes`](super::Limits::head_bytes).
    HeadBytes => REQUEST_HEADER_FIELDS_TOO_LARGE, "request head too long";
    /// [`Limits::fields`](super::Limits::fields).
    Fields => REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header lines";
    /// [`Limits::chunk_extension_bytes`](super::Limits::chunk_extension_bytes).
    ChunkExtensionBytes => PAYLOAD_TOO_LARGE, "chunk extensions too long";
    /// [`Limits::trailer_bytes`](super::Limits::trailer_bytes).
    TrailerBytes => REQUEST_HEADER_FIELDS_TOO_LARGE, "trailers too long";
    /// [`Limits::body_bytes`](super::Limits::body_bytes).
    BodyBytes => PAYLOAD_TOO_LARGE, "request body too large";
    /// The system has no memory for what has come of the request, whatever the limits allow.
    Memory => SERVICE_UNAVAILABLE, "no memory for the request";
}

impl RefusalKind {
    pub(crate) fn at(self, offset: usize) -> Refusal {
        Refusal { kind: self, offset: offset as u64 }
    }
}

/// As [`Vec::push`], but what a client has sent never ends the process for want of memory.
#[inline]
pub(super) fn push<T>(items: &mut Vec<T>, item: T) -> Result<(), RefusalKind> {
    if items.len() == items.capacity() {
        items.try_reserve(1).map_err(|_| RefusalKind::Memory)?;
    }
    items.push(item);
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.kind.text(), self.offset)
    }
}

impl std::error::Error for Refusal {}
