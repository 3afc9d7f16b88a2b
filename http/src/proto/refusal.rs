//! Every reason to refuse a request, with its status.

use std::fmt;

use http::StatusCode;

/// A request that is not served: the fault, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The fault.
    pub kind: RefusalKind,
    /// The byte where the fault was noticed, counted from the first byte of the request; if the
    /// bytes cannot begin a request, counted from the first byte that arrived.
    pub offset: u64,
}

macro_rules! refusals {
    ($($(#[$doc:meta])+ $name:ident => $status:ident, $text:literal;)+) => {
        /// Why a request is refused.
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
            /// The status of the client's response.
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
    /// The request line does not end with `HTTP/` digit `.` digit.
    VersionSyntax => BAD_REQUEST, "malformed HTTP version";
    /// A version that is not 1.x.
    Version => HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are served here";
    /// More empty lines before the request than a careless client sends.
    EmptyLines => BAD_REQUEST, "too many empty lines before the request";
    /// A line that does not end with CR LF, or a CR elsewhere.
    LineEnd => BAD_REQUEST, "malformed line end";
    /// A header name that is not a token, or that is not followed directly by its colon; a folded
    /// line.
    FieldName => BAD_REQUEST, "malformed header name";
    /// A control byte in a header value.
    FieldValue => BAD_REQUEST, "malformed header value";
    /// HTTP/1.1 without `Host`.
    HostMissing => BAD_REQUEST, "missing Host header";
    /// More than one `Host`.
    HostDuplicate => BAD_REQUEST, "more than one Host header";
    /// A `Host` that is not a host with an optional port.
    Host => BAD_REQUEST, "malformed Host header";
    /// A `Content-Length` that is not a plain number, or that has zeros in front, which some
    /// implementations read as octal.
    ContentLength => BAD_REQUEST, "malformed Content-Length header";
    /// More than one `Content-Length`, even if they are equal: a party that uses a different one
    /// than this server reads a different request.
    ContentLengthDuplicate => BAD_REQUEST, "more than one Content-Length header";
    /// Both `Content-Length` and `Transfer-Encoding`: the usual form of request smuggling.
    FramingConflict => BAD_REQUEST, "both Content-Length and Transfer-Encoding";
    /// `Transfer-Encoding` in HTTP/1.0, which does not know it.
    TransferEncodingIn10 => BAD_REQUEST, "Transfer-Encoding in HTTP/1.0";
    /// A `Transfer-Encoding` without a coding, or with `chunked` twice or before another coding:
    /// two parties could find the end of the body at different places.
    TransferEncodingSyntax => BAD_REQUEST, "malformed Transfer-Encoding header";
    /// A `Transfer-Encoding` with other codings than `chunked`.
    TransferEncoding => NOT_IMPLEMENTED, "transfer codings other than chunked are not implemented";
    /// CONNECT with a body, which it cannot have: the bytes behind the head belong to the tunnel.
    ConnectBody => BAD_REQUEST, "a CONNECT request with a body";
    /// An `Expect` other than `100-continue`.
    Expectation => EXPECTATION_FAILED, "unknown expectation";
    /// Malformed framing in a chunked body.
    Chunk => BAD_REQUEST, "malformed chunk";
    /// A trailer that says where the message ends or goes: `Content-Length`, `Transfer-Encoding`,
    /// `Host`. Other trailers that belong in the head are ignored.
    TrailerField => BAD_REQUEST, "a trailer that belongs in the head";
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
    /// The process got no memory for the request's head or body, although the limits allow it.
    Memory => SERVICE_UNAVAILABLE, "no memory for the request";
}

impl RefusalKind {
    pub(crate) fn at(self, offset: usize) -> Refusal {
        Refusal { kind: self, offset: offset as u64 }
    }
}

/// As [`Vec::push`], but without an abort when there is no memory: the bytes come from a client.
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
