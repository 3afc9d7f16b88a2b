//! The failure of another server whose response is passed on.

use std::error::Error;
use std::fmt;
use std::io;

/// Why the body of another server's response ended early. If nothing of the response has left, the
/// client gets a 502 in its place, and not a 500.
#[derive(Debug)]
#[cfg_attr(not(feature = "proxy"), allow(dead_code))] // only a proxy makes one
pub(crate) struct UpstreamError(io::Error);

impl UpstreamError {
    /// The same error, as one of another server.
    #[cfg(feature = "proxy")]
    pub(crate) fn mark(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self(error))
    }

    /// Whether the error was marked.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Self>)
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upstream: {}", self.0)
    }
}

impl Error for UpstreamError {}
