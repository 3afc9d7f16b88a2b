//! Why a handshake failed.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use rustls::CertificateError;

/// Why a handshake failed: its kind, and in words with the cause. As an [`io::Error`] it is inside
/// of it: `error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>())`.
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
    /// More handshakes waited than [`HandshakeLimits::waiting`](crate::HandshakeLimits), or there
    /// is no memory for one more.
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

    /// The kind in words.
    fn describe(self) -> &'static str {
        match self {
            Self::PlainHttp => "the client speaks HTTP without TLS",
            Self::NotTls => "the client does not speak TLS",
            Self::Closed => "the peer closed the connection during the TLS handshake",
            Self::TimedOut => "the TLS handshake took too long",
            Self::Overloaded => "too many TLS handshakes at once",
            Self::Version => "no shared version of TLS",
            Self::NoSharedParameters => "no shared cipher suite, group or signature scheme",
            Self::NoSharedProtocol => "no shared application protocol (ALPN)",
            Self::NoClientCertificate => "the client has sent no certificate",
            Self::BadCertificate => "the peer's certificate is not accepted",
            Self::Alert => "the peer refused the TLS handshake",
            Self::Protocol => "the peer broke the TLS protocol",
            Self::Other => "the TLS handshake failed",
        }
    }
}

impl HandshakeError {
    /// Why the handshake failed, as one of a few words. Not a yield point.
    pub fn failure(&self) -> HandshakeFailure {
        self.failure
    }

    /// The error inside of an [`io::Error`], if it is one of a handshake. Not a yield point.
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn new(failure: HandshakeFailure) -> Self {
        Self { failure, cause: None }
    }

    fn with_cause(
        failure: HandshakeFailure,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { failure, cause: Some(cause.into()) }
    }

    /// An error of this side.
    pub(crate) fn other(cause: Box<dyn Error + Send + Sync>) -> Self {
        Self::with_cause(HandshakeFailure::Other, cause)
    }

    /// The stream below failed.
    pub(crate) fn io(error: io::Error) -> Self {
        let failure = match error.kind() {
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => HandshakeFailure::Closed,
            ErrorKind::InvalidData => HandshakeFailure::Protocol,
            ErrorKind::OutOfMemory => HandshakeFailure::Overloaded,
            _ => HandshakeFailure::Other,
        };
        Self::with_cause(failure, error)
    }

    /// The protocol failed.
    pub(crate) fn of(error: rustls::Error) -> Self {
        use rustls::PeerIncompatible as Incompatible;
        let failure = match &error {
            rustls::Error::PeerIncompatible(
                Incompatible::SupportedVersionsExtensionRequired
                | Incompatible::ServerDoesNotSupportTls12Or13
                | Incompatible::ServerTlsVersionIsDisabledByOurConfig
                | Incompatible::Tls12NotOffered
                | Incompatible::Tls12NotOfferedOrEnabled
                | Incompatible::Tls13RequiredForQuic,
            ) => HandshakeFailure::Version,
            rustls::Error::PeerIncompatible(_) => HandshakeFailure::NoSharedParameters,
            rustls::Error::NoApplicationProtocol => HandshakeFailure::NoSharedProtocol,
            rustls::Error::NoCertificatesPresented => HandshakeFailure::NoClientCertificate,
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidCertRevocationList(_)
            | rustls::Error::UnsupportedNameType => HandshakeFailure::BadCertificate,
            rustls::Error::AlertReceived(_) => HandshakeFailure::Alert,
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::PeerSentOversizedRecord
            | rustls::Error::DecryptError => HandshakeFailure::Protocol,
            _ => HandshakeFailure::Other,
        };
        match explain(&error) {
            Some(text) => Self::with_cause(failure, format!("{error}: {text}")),
            None => Self::with_cause(failure, error),
        }
    }

    /// The peer left before it sent a byte.
    pub(crate) fn left_at_once() -> Self {
        Self::with_cause(HandshakeFailure::Closed, LeftAtOnce)
    }

    pub(crate) fn into_io(self) -> io::Error {
        if self.cause.as_ref().is_some_and(|cause| cause.is::<LeftAtOnce>()) {
            return ErrorKind::UnexpectedEof.into();
        }
        let kind = match self.failure {
            HandshakeFailure::Closed => ErrorKind::UnexpectedEof,
            HandshakeFailure::TimedOut => ErrorKind::TimedOut,
            HandshakeFailure::Other => ErrorKind::Other,
            _ => ErrorKind::InvalidData,
        };
        io::Error::new(kind, self)
    }
}

/// No handshake began, so as an [`io::Error`] it is the end of the stream, and no
/// [`HandshakeError`].
#[derive(Debug)]
struct LeftAtOnce;

impl fmt::Display for LeftAtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it sent nothing")
    }
}

impl Error for LeftAtOnce {}

/// What to do about a certificate that tools make by default, where the error has only a name for
/// it.
fn explain(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(error)) = error else {
        return None;
    };
    match error.0.downcast_ref()? {
        webpki::Error::UnsupportedCertVersion => {
            Some("it is of X.509 version 1; make one of version 3, by giving it extensions")
        }
        webpki::Error::CaUsedAsEndEntity => {
            Some("it is an authority's (CA:TRUE), and the peer uses it as its own")
        }
        _ => None,
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.failure.describe())?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        error.into_io()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn what_tools_make_by_default_is_explained() {
        let of = |error: webpki::Error| {
            let error = CertificateError::Other(OtherError(Arc::new(error)));
            HandshakeError::of(rustls::Error::InvalidCertificate(error))
        };
        let old = of(webpki::Error::UnsupportedCertVersion);
        assert_eq!(old.failure(), HandshakeFailure::BadCertificate);
        assert!(
            old.to_string().ends_with("make one of version 3, by giving it extensions"),
            "{old}"
        );
        let other = of(webpki::Error::BadDer).to_string();
        assert!(other.ends_with("(BadDer))"), "{other}");
    }
}
