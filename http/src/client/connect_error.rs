//! The error of a connection that was not made.

use std::fmt;
use std::io;

use ureq::{Error, Timeout};

/// There is no connection to the server, so it has seen nothing of the request: whatever the method
/// is, the call may be made again. It is inside of an [`Error::Io`], with the kind of its cause.
///
/// ```
/// use straightline::client::{Client, ConnectError, ureq};
/// use straightline::sched;
///
/// sched::run(|| {
///     let refused = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?; // and closed
///     let error = Client::new().get(format!("http://{refused}")).call().unwrap_err();
///     assert!(ConnectError::is_cause_of(&error));
///     assert!(error.to_string().contains("cannot connect to 127.0.0.1:"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ConnectError {
    /// Host and port of the server, or of the proxy.
    to: String,
    cause: io::Error,
}

impl ConnectError {
    pub(super) fn of(to: impl Into<String>, cause: io::Error) -> Error {
        let kind = cause.kind();
        Error::Io(io::Error::new(kind, Self { to: to.into(), cause }))
    }

    /// Whether a call failed because there was no connection in time. Not a yield point.
    pub fn is_cause_of(error: &Error) -> bool {
        match error {
            Error::Io(error) => {
                error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
            }
            Error::Timeout(timeout) => matches!(timeout, Timeout::Connect | Timeout::Resolve),
            Error::HostNotFound | Error::ConnectProxyFailed(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.to, self.cause)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
