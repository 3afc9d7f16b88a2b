//! How a connection ended, for the program that gave its stream to the server.

use std::fmt;
use std::io;

use crate::config::CapacityLimit;

/// How a connection ended that [`ServerHandle::serve`](crate::ServerHandle::serve) has served.
///
/// The stream was closed in every case. The server has counted and reported the end as that of an
/// accepted connection, so most programs need not look at it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// Every response was sent: the client has left between two requests, a response said that the
    /// connection closes, or the connection was idle for too long.
    Closed,
    /// The connection broke, or the client left in the middle of a request, or a response could not
    /// be completed.
    Failed(io::Error),
    /// There was no room for the connection; the client got a 503.
    Rejected(CapacityLimit),
    /// A shutdown has force-closed the connection at the end of its drain.
    ForceClosed,
    /// The server had ended before. The client got no byte.
    Unserved,
}

impl fmt::Display for ConnectionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed in good order"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Rejected(CapacityLimit::Peer) => {
                f.write_str("rejected: too many connections of this client")
            }
            Self::Rejected(_) => f.write_str("rejected: too many connections"),
            Self::ForceClosed => f.write_str("force-closed by a shutdown"),
            Self::Unserved => f.write_str("not served: the server had ended"),
        }
    }
}
