//! Why a request's body could not be read: the error that `Read` returns, and also a response.

use std::fmt;
use std::io::{self, ErrorKind};

use http::StatusCode;

use crate::config::Timeout;
use crate::proto::Refusal;

/// Why a request's body could not be read.
///
/// It is also a response, so a handler may return it: the variants say what the client gets then.
/// An `std::io` error that comes from a body holds a `BodyError`.
///
/// ```
/// use std::io::{self, Read};
/// use straightline::{BodyError, Request, StatusCode};
///
/// fn count(request: &mut Request) -> Result<String, StatusCode> {
///     match io::copy(&mut request.body(), &mut io::sink()) {
///         Ok(bytes) => Ok(format!("{bytes} bytes\n")),
///         Err(error) => match BodyError::of(&error) {
///             Some(BodyError::Disconnected(_)) => Err(StatusCode::BAD_REQUEST),
///             _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
///         },
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The connection ended or broke before the end of the body. No client is left that could be
    /// answered.
    Disconnected(ErrorKind),
    /// The body's framing is malformed, or the body is longer than
    /// [`Limits::body_bytes`](crate::Limits::body_bytes). The client gets the refusal, whatever the
    /// handler returns.
    Refused(Refusal),
    /// The body came too slowly, see [`Timeouts::body`](crate::Timeouts::body). The client gets a
    /// 408, whatever the handler returns.
    TimedOut(Timeout),
    /// The body, or a line of it, is longer than this number of bytes, which the handler allowed:
    /// 413.
    TooLong(u64),
    /// A line of the body is not UTF-8: 400.
    NotText,
    /// The bytes of the body are not what its head says they are, such as a multipart body without
    /// its last boundary, or gzip with a wrong checksum: 400. The text says what is wrong.
    Malformed(&'static str),
    /// A part of the body exceeds a limit of the handler, such as the number of parts: 413. The
    /// text names the limit.
    LimitExceeded(&'static str),
    /// There is no memory for the bytes that were received: 503.
    NoMemory,
    /// The client waited with `Expect: 100-continue` until the server asks for the body, and got a
    /// response instead.
    Declined,
    /// Another fiber is reading the same body at the moment: 500.
    Busy,
}

impl BodyError {
    /// The fault of the body that caused this error, if a body did.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// The status of the response that a client gets for this error. Not a yield point.
    ///
    /// ```
    /// use straightline::{BodyError, StatusCode};
    ///
    /// assert_eq!(BodyError::TooLong(100).status(), StatusCode::PAYLOAD_TOO_LARGE);
    /// ```
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.kind.status(),
            Self::TooLong(_) | Self::LimitExceeded(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Disconnected(_) | Self::NotText | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::Declined | Self::Busy => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The fault for an error that a read of a body has returned.
    pub(crate) fn from_body(error: &io::Error) -> Self {
        Self::of(error).unwrap_or(Self::Disconnected(error.kind()))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(ErrorKind::UnexpectedEof) => {
                f.write_str("the client ended the connection in the middle of its request body")
            }
            Self::Disconnected(kind) => write!(f, "the connection broke in a request body: {kind}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::TimedOut(timeout) => timeout.fmt(f),
            Self::TooLong(limit) => {
                write!(f, "the request body, or a line of it, has more than {limit} bytes")
            }
            Self::NotText => f.write_str("a line of the request body is not UTF-8"),
            Self::Malformed(what) | Self::LimitExceeded(what) => f.write_str(what),
            Self::NoMemory => f.write_str("no memory for the request"),
            Self::Declined => f.write_str("the client was not asked for its body"),
            Self::Busy => f.write_str("another fiber is reading this request body"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Disconnected(kind) => kind,
            BodyError::TimedOut(_) => ErrorKind::TimedOut,
            BodyError::Refused(_) | BodyError::NotText | BodyError::Malformed(_) => {
                ErrorKind::InvalidData
            }
            BodyError::TooLong(_) | BodyError::LimitExceeded(_) => ErrorKind::FileTooLarge,
            BodyError::NoMemory => ErrorKind::OutOfMemory,
            BodyError::Declined | BodyError::Busy => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
