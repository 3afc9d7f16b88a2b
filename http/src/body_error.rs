//! Why a request's body could not be read: what `Read` returns of it, and a response too.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::config::Timeout;
use crate::proto::Refusal;

/// Why a request's body could not be read.
///
/// It is a response too, so a handler may return it: what the client gets then is what the variants
/// say. Errors of `std::io` that come from a body hold one.
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
    /// The connection ended or broke before the body did. No response reaches the client.
    Disconnected(ErrorKind),
    /// The framing of the body is malformed, or it is longer than
    /// [`Limits::body_bytes`](crate::Limits::body_bytes). The client gets the refusal, whatever the
    /// handler returns.
    Refused(Refusal),
    /// It came too slowly, see [`Timeouts::body`](crate::Timeouts::body). The client gets a 408,
    /// whatever the handler returns.
    TimedOut(Timeout),
    /// It, or a line of it, is longer than the handler said, in bytes: 413.
    TooLong(u64),
    /// A line of it is not UTF-8: 400.
    NotText,
    /// The system has no memory for what has come of it: 503.
    NoMemory,
    /// The client waited with `Expect: 100-continue` to be asked for its body, and was sent a
    /// response instead.
    Declined,
}

impl BodyError {
    /// What is wrong with the body that this error comes from, if it comes from one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Of an error that a body's read has returned.
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
            Self::TooLong(limit) => write!(f, "more than {limit} bytes"),
            Self::NotText => f.write_str("a line that is not UTF-8"),
            Self::NoMemory => f.write_str("no memory for the request"),
            Self::Declined => f.write_str("the client was not asked for its body"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Disconnected(kind) => kind,
            BodyError::TimedOut(_) => ErrorKind::TimedOut,
            BodyError::Refused(_) | BodyError::NotText => ErrorKind::InvalidData,
            BodyError::TooLong(_) => ErrorKind::FileTooLarge,
            BodyError::NoMemory => ErrorKind::OutOfMemory,
            BodyError::Declined => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
