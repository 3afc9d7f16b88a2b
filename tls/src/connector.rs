//! The client's side: what it trusts, and who it is.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, NoKeyLog, RootCertStore};
use straightline_net::Transport;

use crate::clock::Clock;
use crate::config::{
    IdentitySource, Place, Source, TlsConfigError, TlsConfigErrorKind, TlsWarning, TlsWarningKind,
    check_alpn, check_limits, read_revocations, read_roots,
};
use crate::handshake_limits::HandshakeLimits;
use crate::handshakes::Handshakes;
use crate::provider::TlsProvider;
use crate::stream::TlsStream;
use crate::version::TlsVersion;

/// Makes TLS connections to servers. A clone is cheap, and shares the sessions to resume.
///
/// The name of the server is always checked: the certificate must have it, and must lead to a root
/// that the connector trusts.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use straightline_net::TcpStream;
/// use straightline_sched as sched;
/// use straightline_tls::TlsConnector;
///
/// let connector = TlsConnector::builder().platform_roots().build()?;
/// sched::run(move || {
///     let stream = TcpStream::connect("example.com:443")?;
///     let mut stream = connector.connect("example.com", stream)?;
///     stream.write_all(b"GET / HTTP/1.0\r\nhost: example.com\r\n\r\n")?;
///     let mut answer = Vec::new();
///     stream.read_to_end(&mut answer)?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    shared: Arc<Shared>,
}

struct Shared {
    client: Arc<ClientConfig>,
    handshakes: Arc<Handshakes>,
    provider: TlsProvider,
    warnings: Vec<TlsWarning>,
}

/// The settings of a [`TlsConnector`], which [`TlsConnector::builder`] makes, with the defaults
/// that each method tells.
#[derive(Clone)]
#[must_use]
pub struct TlsConnectorBuilder {
    has_platform_roots: bool,
    roots: Vec<Source>,
    revocations: Vec<Source>,
    identity: Option<IdentitySource>,
    min_version: TlsVersion,
    alpn: Vec<Vec<u8>>,
    limits: HandshakeLimits,
    provider: TlsProvider,
}

impl TlsConnector {
    /// The settings with their defaults, and without a root. Not a yield point.
    pub fn builder() -> TlsConnectorBuilder {
        TlsConnectorBuilder {
            has_platform_roots: false,
            roots: Vec::new(),
            revocations: Vec::new(),
            identity: None,
            min_version: TlsVersion::Tls12,
            alpn: Vec::new(),
            limits: HandshakeLimits::default(),
            provider: TlsProvider::default(),
        }
    }

    /// Runs the handshake over a connected stream. The server must be `server_name`: a DNS name, or
    /// an IP address as text. The name goes to the server too (SNI, RFC 6066, 3), an address does
    /// not.
    ///
    /// # Blocking
    ///
    /// A yield point, for [`HandshakeLimits::timeout`] at most.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and drops the stream.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `server_name` is neither a name nor an
    /// address. Else those of the stream, and a [`HandshakeError`](crate::HandshakeError).
    pub fn connect<S: Transport>(&self, server_name: &str, stream: S) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(server_name.to_owned()).map_err(|error| {
            let text = format!("{server_name:?} is no name of a server and no IP address: {error}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let Shared { client, handshakes, .. } = &*self.shared;
        let stream = TlsStream::client(stream, Arc::clone(client), name, Arc::clone(handshakes));
        stream.handshake()?;
        Ok(stream)
    }

    /// What is odd in the files that were read, such as a revocation list that is too old. Not a
    /// yield point.
    pub fn warnings(&self) -> &[TlsWarning] {
        &self.shared.warnings
    }

    /// Who does the cryptography. Not a yield point.
    pub fn provider(&self) -> TlsProvider {
        self.shared.provider
    }
}

impl TlsConnectorBuilder {
    /// Trusts the roots of the platform, besides those that are named. If the environment has
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR`, these are in their place. A root of a kind that cannot be
    /// used is left out. Default: no.
    pub fn platform_roots(mut self) -> Self {
        self.has_platform_roots = true;
        self
    }

    /// Trusts the root certificates of that file too, in PEM.
    pub fn roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(Source::file(path));
        self
    }

    /// As [`roots_file`](Self::roots_file), from bytes.
    pub fn roots_pem(mut self, roots: impl AsRef<[u8]>) -> Self {
        self.roots.push(Source::bytes(roots.as_ref(), "the roots"));
        self
    }

    /// Adds files with revocation lists (CRL, RFC 5280, 5), in PEM. With any list, each certificate
    /// of the server's chain below the root must have one, of its issuer, which is not older than
    /// it says itself. Default: none, and revocation is not checked.
    pub fn revocation_files<P: Into<PathBuf>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.revocations.extend(paths.into_iter().map(Source::file));
        self
    }

    /// As [`revocation_files`](Self::revocation_files), from bytes.
    pub fn revocation_pem(mut self, lists: impl AsRef<[u8]>) -> Self {
        self.revocations.push(Source::bytes(lists.as_ref(), "the revocation lists"));
        self
    }

    /// The client's own certificate with its chain, and its private key, for a server that asks for
    /// it; as [`TlsConfigBuilder::certificate_files`](crate::TlsConfigBuilder::certificate_files).
    /// Default: none.
    pub fn certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(IdentitySource::new(Source::file(chain), Source::file(key)));
        self
    }

    /// As [`certificate_files`](Self::certificate_files), from bytes.
    pub fn certificate_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(IdentitySource::new(
            Source::bytes(chain.as_ref(), "the certificate chain"),
            Source::bytes(key.as_ref(), "the private key"),
        ));
        self
    }

    /// The oldest version that is accepted. Default: 1.2. If both peers have 1.3, they use 1.3.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// The application protocols to offer, in order of preference (ALPN, RFC 7301). Default: none,
    /// and the extension is not sent.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How long a handshake may take, and how many run at once. Default:
    /// [`HandshakeLimits::default`].
    pub fn handshake_limits(mut self, limits: HandshakeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Who does the cryptography. Default: [`TlsProvider::default`].
    pub fn provider(mut self, provider: TlsProvider) -> Self {
        self.provider = provider;
        self
    }

    /// Reads all files, and checks them. Not a yield point, but it reads files; the roots of a
    /// platform may take some milliseconds.
    ///
    /// # Errors
    ///
    /// As [`TlsConfigBuilder::build`](crate::TlsConfigBuilder::build). No root at all is an error.
    pub fn build(self) -> Result<TlsConnector, TlsConfigError> {
        if !self.has_platform_roots && self.roots.is_empty() {
            let text = "the client trusts no root, so it would accept no server: set \
                        `platform_roots` or `roots_file`";
            return Err(TlsConfigError::of_settings(text));
        }
        check_limits(&self.limits).map_err(TlsConfigError::of_settings)?;
        check_alpn(&self.alpn).map_err(TlsConfigError::of_settings)?;
        let crypto = self.provider.crypto().map_err(TlsConfigError::of_provider)?;
        let mut roots = read_roots(&self.roots)?;
        let mut warnings = Vec::new();
        if self.has_platform_roots {
            warnings.extend(add_platform_roots(&mut roots)?);
        }
        let (client, more) = self.client(&crypto, roots)?;
        warnings.extend(more);
        let Self { limits, provider, .. } = self;
        let handshakes = Handshakes::new(limits, provider.is_slow());
        let shared = Shared { client: Arc::new(client), handshakes, provider, warnings };
        Ok(TlsConnector { shared: Arc::new(shared) })
    }

    fn client(
        &self,
        crypto: &Arc<CryptoProvider>,
        roots: RootCertStore,
    ) -> Result<(ClientConfig, Vec<TlsWarning>), TlsConfigError> {
        let (lists, mut warnings) = read_revocations(&self.revocations)?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(crypto))
                .with_crls(lists)
                .enforce_revocation_expiration()
                .build()
                .map_err(TlsConfigError::of_provider)?;
        let builder = ClientConfig::builder_with_details(Arc::clone(crypto), Arc::new(Clock))
            .with_protocol_versions(self.min_version.and_later())
            .map_err(TlsConfigError::of_provider)?
            .with_webpki_verifier(verifier);
        let mut client = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(source) => {
                let identity = source.load(self.provider, crypto)?;
                warnings.extend(identity.warnings_of_client());
                let certified = SingleCertAndKey::from(identity.certified);
                builder.with_client_cert_resolver(Arc::new(certified))
            }
        };
        client.alpn_protocols.clone_from(&self.alpn);
        client.key_log = Arc::new(NoKeyLog);
        client.max_fragment_size = None;
        // Data before the handshake's end can be replayed (RFC 8446, 8).
        client.enable_early_data = false;
        client.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Ok((client, warnings))
    }
}

/// Adds what the platform trusts. A root that cannot be used is left out, as stores have roots of
/// old kinds; a part that cannot be read is a warning; no root at all is an error.
fn add_platform_roots(roots: &mut RootCertStore) -> Result<Vec<TlsWarning>, TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let count = found.certs.len();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        let warning = |error: &rustls_native_certs::Error| {
            let kind = TlsWarningKind::RootsNotRead { reason: error.to_string().into() };
            TlsWarning::new(kind, &Place::Platform, &[])
        };
        return Ok(found.errors.iter().map(warning).collect());
    }
    let kind = TlsConfigErrorKind::NoCertificate;
    let hint = "install the roots (often the package `ca-certificates`), or set `roots_file`";
    let text = format!("has no root that can be used, among {count}");
    Err(match found.errors.into_iter().next() {
        Some(error) => {
            let text = format!("{text}: {error}; {hint}");
            TlsConfigError::new(kind, &Place::Platform, text).caused_by(error)
        }
        None => TlsConfigError::new(kind, &Place::Platform, format!("{text}; {hint}")),
    })
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("provider", &self.shared.provider)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConnectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnectorBuilder")
            .field("provider", &self.provider)
            .field("platform_roots", &self.has_platform_roots)
            .field("min_version", &self.min_version)
            .finish_non_exhaustive()
    }
}

/// How many servers' sessions are kept to be resumed. The default of rustls.
const SESSIONS_MAX: usize = 256;
