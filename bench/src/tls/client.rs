//! One client: rustls with AWS-LC on a blocking socket.
//!
//! It does not verify the certificate. That would cost it as much as the server's signature costs
//! the server, and the client must not be the slower side.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::net::sockopt::set_socket_linger;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme, StreamOwned,
    SupportedCipherSuite,
};
use straightline_harness::ReplyReader;

use super::folder::NAME;
use crate::reply::read_expected;
use crate::serve::PATH;

/// What a client offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(super) suite: SupportedCipherSuite,
    /// Also X25519MLKEM768, and that first.
    pub(super) is_hybrid: bool,
    pub(super) resumes: bool,
}

impl Offer {
    /// AES-128-GCM and X25519.
    pub(crate) const PLAIN: Self =
        Self { suite: cipher_suite::TLS13_AES_128_GCM_SHA256, is_hybrid: false, resumes: false };

    pub(super) const AES_256: Self =
        Self { suite: cipher_suite::TLS13_AES_256_GCM_SHA384, ..Self::PLAIN };

    /// The configuration of clients that share their sessions.
    pub(crate) fn config(self) -> io::Result<Arc<ClientConfig>> {
        const CLASSICAL: &[&dyn SupportedKxGroup] = &[kx_group::X25519];
        const HYBRID: &[&dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768, kx_group::X25519];
        let groups = if self.is_hybrid { HYBRID } else { CLASSICAL };
        let provider = CryptoProvider {
            cipher_suites: vec![self.suite],
            kx_groups: groups.to_vec(),
            ..default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption =
            if self.resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
        Ok(Arc::new(config))
    }
}

/// A connection, after its handshake.
pub(super) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    replies: ReplyReader,
}

impl Client {
    /// Connects and shakes hands.
    pub(super) fn connect(server: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut tls = tls;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self { stream: StreamOwned::new(tls, socket), replies: ReplyReader::default() })
    }

    pub(super) fn has_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Sends a small request.
    pub(super) fn ask(&mut self) -> io::Result<()> {
        self.send(PATH)
    }

    /// Waits for the response to a small request.
    pub(super) fn answer(&mut self) -> io::Result<()> {
        read_expected(&mut self.replies, &mut self.stream)
    }

    /// Requests a large body, and returns its length.
    pub(super) fn download(&mut self, path: &str, buffer: &mut [u8]) -> io::Result<u64> {
        self.send(path)?;
        let mut head = Vec::new();
        let (length, mut missing) = loop {
            let count = self.read(buffer)?;
            head.extend_from_slice(&buffer[..count]);
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let length = length_of(&head[..end])?;
                break (length, length.saturating_sub((head.len() - end - 4) as u64));
            }
        };
        while missing > 0 {
            missing = missing.saturating_sub(self.read(buffer)? as u64);
        }
        Ok(length)
    }

    /// Closes with a reset, so that no TIME-WAIT is left behind.
    pub(super) fn reset(self) -> io::Result<()> {
        Ok(set_socket_linger(&self.stream.sock, Some(std::time::Duration::ZERO))?)
    }

    fn send(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        self.stream.write_all(request.as_bytes())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// The length of the body of a response with the status 200.
fn length_of(head: &[u8]) -> io::Result<u64> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    match length {
        Some(length) if head.starts_with("http/1.1 200") => Ok(length),
        _ => Err(io::Error::new(ErrorKind::InvalidData, format!("the head {head:?}"))),
    }
}

/// Accepts every certificate and every signature.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
