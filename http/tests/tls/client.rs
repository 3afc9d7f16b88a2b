//! What the tests share: certificates, configurations, and a client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use straightline::tls::{TlsConfig, TlsConfigBuilder, TlsProvider};

/// A certificate for `localhost`, `first.example` and 127.0.0.1, and its key.
pub(crate) const FIRST: [&[u8]; 2] =
    [include_bytes!("data/first.pem"), include_bytes!("data/first.key")];
/// The next one of the same names.
pub(crate) const RENEWED: [&[u8]; 2] =
    [include_bytes!("data/renewed.pem"), include_bytes!("data/renewed.key")];
/// For `second.example`.
pub(crate) const SECOND: [&[u8]; 2] =
    [include_bytes!("data/second.pem"), include_bytes!("data/second.key")];
/// For `first.example`, until 2021.
pub(crate) const EXPIRED: [&[u8]; 2] =
    [include_bytes!("data/expired.pem"), include_bytes!("data/expired.key")];
/// A client's.
pub(crate) const CLIENT: [&[u8]; 2] =
    [include_bytes!("data/client.pem"), include_bytes!("data/client.key")];
/// The certificate that all of them lead to.
pub(crate) const CA: &[u8] = include_bytes!("data/ca.pem");

/// Runs a test with each provider that is offered.
pub(crate) fn with_each_provider(test: impl Fn(TlsProvider)) {
    assert!(!TlsProvider::offered().is_empty());
    TlsProvider::offered().iter().for_each(|provider| test(*provider));
}

/// A server with both certificates.
pub(crate) fn config(provider: TlsProvider) -> TlsConfigBuilder {
    TlsConfig::builder()
        .provider(provider)
        .certificate_pem(FIRST[0], FIRST[1])
        .certificate_pem(SECOND[0], SECOND[1])
}

/// The settings of a client.
pub(crate) struct Settings {
    versions: Vec<&'static rustls::SupportedProtocolVersion>,
    identity: Option<[&'static [u8]; 2]>,
    alpn: Vec<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        let versions = vec![&rustls::version::TLS13, &rustls::version::TLS12];
        Self { versions, identity: None, alpn: Vec::new() }
    }
}

impl Settings {
    pub(crate) fn tls12(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    pub(crate) fn identity(mut self, identity: [&'static [u8]; 2]) -> Self {
        self.identity = Some(identity);
        self
    }

    pub(crate) fn alpn(mut self, protocol: &str) -> Self {
        self.alpn.push(protocol.into());
        self
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some([chain, key]) => {
                let chain = vec![CertificateDer::from_pem_slice(chain).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }
}

/// A client, which sends raw bytes of HTTP.
pub(crate) struct Client {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(address, "localhost", &Settings::default().config()).unwrap()
    }

    /// A client whose handshake is over.
    pub(crate) fn with(
        address: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        Self::over(socket(address), name, config)
    }

    /// As [`with`](Self::with), over a socket on which something was sent before.
    pub(crate) fn over(
        mut stream: TcpStream,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self { stream: StreamOwned::new(connection, stream) })
    }

    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.stream.conn.protocol_version()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).receive().1
    }

    /// A response with a `Content-Length`: head and body.
    pub(crate) fn receive(&mut self) -> (String, String) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything until the server's `close_notify`. An end without it is an error.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Says goodbye, and waits for the server's end.
    pub(crate) fn close(mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().unwrap();
        assert!(self.rest().unwrap().is_empty());
    }
}

/// A socket on which a test does not hang.
pub(crate) fn socket(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}
