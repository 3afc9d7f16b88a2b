//! Why a conversation failed.

use std::error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::close::CloseCode;

/// Why a call of a WebSocket failed. The conversation is over after each of these.
///
/// `?` makes an `std::io::Error` of it where a function returns that.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The conversation is closed, or is being closed: nothing more can be sent.
    Closed,
    /// The connection broke, or ended without a Close frame.
    Disconnected(io::Error),
    /// The peer broke the protocol, or sent more than it may. It was told so with this code.
    Violation {
        /// The code that the peer was sent.
        code: CloseCode,
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing arrived from the peer, not even a Pong, for that time.
    Idle(Duration),
    /// The peer made no room for what was sent to it, for that time.
    WriteTimeout(Duration),
    /// The peer did not read fast enough: its queue was full, and
    /// [`SlowReceiver::Disconnect`](super::SlowReceiver::Disconnect) says that this ends it, or it
    /// was slower than the [rate](crate::MinRate::bytes_per_second) of the server's
    /// [`Timeouts::write`](crate::Timeouts).
    TooSlow,
    /// The server uses as much memory for its clients as it may.
    ShortOfMemory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the WebSocket is closed"),
            Self::Disconnected(error) => write!(f, "the WebSocket was disconnected: {error}"),
            Self::Violation { code, what } => write!(f, "{what} (closed with {code})"),
            Self::Idle(time) => write!(f, "the client sent nothing for {time:?}, not even a Pong"),
            Self::WriteTimeout(time) => write!(f, "the client made no room for {time:?}"),
            Self::TooSlow => f.write_str("the client read too slowly"),
            Self::ShortOfMemory => f.write_str("no memory is left for the client's message"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Disconnected(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Closed => ErrorKind::BrokenPipe,
            Error::Disconnected(error) => error.kind(),
            Error::Violation { .. } => ErrorKind::InvalidData,
            Error::Idle(_) | Error::WriteTimeout(_) | Error::TooSlow => ErrorKind::TimedOut,
            Error::ShortOfMemory => ErrorKind::OutOfMemory,
        };
        io::Error::new(kind, error)
    }
}
