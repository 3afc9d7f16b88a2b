//! Why a handshake failed.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a handshake failed. As an [`io::Error`] it is inside of it:
/// `error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>())`.
#[derive(Debug)]
pub struct HandshakeError {
    failure: HandshakeFailure,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a failure of a handshake: a label for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The client speaks HTTP without TLS.
    PlainHttp,
    /// The client's first bytes are no TLS record.
    NotTls,
    /// The peer closed the connection, or reset it.
    Closed,
    /// The handshake took longer than [`HandshakeLimits::timeout`](crate::HandshakeLimits).
    TimedOut,
    /// More handshakes waited than [`HandshakeLimits::waiting`](crate::HandshakeLimits).
    Overloaded,
    /// The peers share no version of the protocol.
    Version,
    /// The peers share no cipher suite, group or signature scheme.
    NoSharedParameters,
    /// The peers share no application protocol (ALPN).
    NoSharedProtocol,
    /// The client has no certificate and needs one.
    NoClientCertificate,
    /// The peer's certificate is not accepted.
    BadCertificate,
    /// The peer ended the handshake with an alert, such as one for a certificate it does not trust.
    Alert,
    /// The peer broke the protocol.
    Protocol,
    /// Another error of the stream below, or of this side.
    Other,
}

impl HandshakeFailure {
    /// All kinds, in the order of their declaration. Not a yield point.
    pub const ALL: [Self; 13] = [
        Self::PlainHttp,
        Self::NotTls,
        Self::Closed,
        Self::TimedOut,
        Self::Overloaded,
        Self::Version,
        Self::NoSharedParameters,
        Self::NoSharedProtocol,
        Self::NoClientCertificate,
        Self::BadCertificate,
        Self::Alert,
        Self::Protocol,
        Self::Other,
    ];

    /// A name for logs and metrics, such as `plain_http`. Not a yield point.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::Closed => "closed",
            Self::TimedOut => "timed_out",
            Self::Overloaded => "overloaded",
            Self::Version => "version",
            Self::NoSharedParameters => "no_shared_parameters",
            Self::NoSharedProtocol => "no_shared_protocol",
            Self::NoClientCertificate => "no_client_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
            Self::Other => "other",
        }
    }
}

impl HandshakeError {
    /// Why the handshake failed, as one of a few words. Not a yield point.
    pub fn failure(&self) -> HandshakeFailure {
        self.failure
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.failure.as_str())
    }
}

impl Error for HandshakeError {}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        Self::other(error)
    }
}
