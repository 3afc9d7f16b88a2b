//! Why a request got no response of an upstream, and what the client gets instead.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use http::{StatusCode, header};

use crate::body_error::BodyError;
use crate::message::{IntoResponse, Problem, Response};
use crate::proto::ResponseFault;

/// Why a request got no response of an upstream.
#[derive(Debug)]
pub(super) enum Failure {
    /// All upstreams are ill or ejected, or have been tried.
    NoUpstream,
    /// The upstreams that are well have as many requests as they may have.
    Busy,
    /// The upstream could not be connected to.
    Connect(io::Error),
    /// The connection broke, or ended before the head of a response.
    Broken(io::Error),
    /// Nothing came, or nothing could be sent, for this time.
    TimedOut(&'static str, Duration),
    /// What came is not a response.
    Malformed(ResponseFault),
    /// What came is no response to this request.
    Unexpected(&'static str),
    /// The body of the request could not be read: the client's fault.
    Client(io::Error),
    /// There is no memory for the buffers.
    Memory,
}

impl Failure {
    /// Whether the upstream is to blame.
    pub(super) fn is_of_upstream(&self) -> bool {
        !matches!(self, Self::NoUpstream | Self::Busy | Self::Client(_) | Self::Memory)
    }

    /// The failure as an error that an event has.
    pub(super) fn to_error(&self) -> io::Error {
        let kind = match self {
            Self::TimedOut(..) => ErrorKind::TimedOut,
            Self::Connect(error) | Self::Broken(error) | Self::Client(error) => error.kind(),
            Self::Malformed(_) | Self::Unexpected(_) => ErrorKind::InvalidData,
            Self::NoUpstream | Self::Busy | Self::Memory => ErrorKind::Other,
        };
        io::Error::new(kind, self.to_string())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoUpstream | Self::Busy | Self::Memory => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut(..) => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect(error) if error.kind() == ErrorKind::TimedOut => {
                StatusCode::GATEWAY_TIMEOUT
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the client may know: nothing about addresses.
    fn detail(&self) -> &'static str {
        match self {
            Self::NoUpstream => "No upstream server is available.",
            Self::Busy => "The upstream servers have too many requests.",
            Self::Connect(_) => "The upstream server could not be connected to.",
            Self::Broken(_) => "The upstream server closed the connection without a response.",
            Self::TimedOut(..) => "The upstream server did not respond in time.",
            Self::Malformed(_) | Self::Unexpected(_) => {
                "The upstream server sent a response that is not valid."
            }
            Self::Client(_) => "The body of the request could not be read.",
            Self::Memory => "The proxy has no memory for the request.",
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Client(error) = self {
            return match BodyError::of(&error) {
                Some(error) => error.into_response(),
                None => StatusCode::BAD_REQUEST.into_response(),
            };
        }
        let problem = Problem::new(self.status()).with_detail(self.detail());
        match self {
            Self::NoUpstream | Self::Busy | Self::Memory => {
                problem.into_response().header(header::RETRY_AFTER, 1)
            }
            _ => problem.into_response(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::TimedOut(what, time) => write!(f, "{what} within {time:?}"),
            Self::Malformed(fault) => write!(f, "the response has {fault}"),
            Self::Unexpected(what) => f.write_str(what),
            Self::Client(error) => write!(f, "the body of the request: {error}"),
            Self::NoUpstream | Self::Busy | Self::Memory => f.write_str(self.detail()),
        }
    }
}

impl Error for Failure {}
