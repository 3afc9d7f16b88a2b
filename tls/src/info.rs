//! What a handshake agreed on.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

/// What a handshake agreed on.
#[derive(Clone)]
pub struct TlsInfo {
    pub(crate) version: &'static str,
    pub(crate) cipher_suite: &'static str,
    pub(crate) server_name: Option<Box<str>>,
    pub(crate) alpn: Option<Box<[u8]>>,
    pub(crate) peer_certificates: Box<[CertificateDer<'static>]>,
    pub(crate) is_resumed: bool,
    pub(crate) duration: Duration,
}

impl TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`. Not a yield point.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The name of the cipher suite as IANA has it, such as `TLS_AES_128_GCM_SHA256`. Not a yield
    /// point.
    pub fn cipher_suite(&self) -> &'static str {
        self.cipher_suite
    }

    /// The name of the server that the client asked for (SNI). Not a yield point.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The application protocol that both agreed on (ALPN), such as `http/1.1`. Not a yield point.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The verified chain of the peer, its own certificate first; empty if it has none. Not a yield
    /// point.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.peer_certificates
    }

    /// Whether the session is a former one that was resumed. Not a yield point.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// How long the handshake took. Not a yield point.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version)
            .field("cipher_suite", &self.cipher_suite)
            .field("server_name", &self.server_name)
            .field(
                "alpn",
                &self.alpn.as_deref().map(<[u8]>::escape_ascii).map(|name| name.to_string()),
            )
            .field("peer_certificates", &self.peer_certificates.len())
            .field("is_resumed", &self.is_resumed)
            .field("duration", &self.duration)
            .finish()
    }
}
