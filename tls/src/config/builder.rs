//! The settings of a server's TLS, and how they become a configuration of rustls.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{NoKeyLog, ServerConfig};

use crate::clock::Clock;
use crate::config::TlsConfig;
use crate::config::checks::{check_alpn, check_limits};
use crate::config::error::TlsConfigError;
use crate::config::identity::{Identity, IdentitySource};
use crate::config::names::CertificatesByName;
use crate::config::source::Source;
use crate::config::trust::{read_revocations, read_roots};
use crate::config::warning::TlsWarning;
use crate::handshake_limits::HandshakeLimits;
use crate::provider::TlsProvider;
use crate::tickets::Tickets;
use crate::version::TlsVersion;

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Clients are not asked for one.
    #[default]
    None,
    /// Clients are asked for one. A client may have none; one that is not accepted ends the
    /// handshake all the same.
    Optional,
    /// A client without an accepted one is refused.
    Required,
}

/// The settings of a server's TLS. [`TlsConfig::builder`] makes one, with the defaults that each
/// method tells.
#[derive(Clone)]
#[must_use]
pub struct TlsConfigBuilder {
    identities: Vec<IdentitySource>,
    /// A file to be stapled, named before any certificate.
    stray_ocsp: Option<PathBuf>,
    min_version: TlsVersion,
    alpn: Vec<Vec<u8>>,
    has_tickets: bool,
    ticket_lifetime: Duration,
    client_auth: ClientAuth,
    client_roots: Vec<Source>,
    client_revocations: Vec<Source>,
    pub(crate) limits: HandshakeLimits,
    pub(crate) provider: TlsProvider,
}

/// What one reading of all files gives.
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) certificates: Arc<CertificatesByName>,
    pub(crate) warnings: Vec<TlsWarning>,
}

impl TlsConfigBuilder {
    pub(crate) fn new() -> Self {
        Self {
            identities: Vec::new(),
            stray_ocsp: None,
            min_version: TlsVersion::Tls12,
            alpn: vec![b"http/1.1".to_vec()],
            has_tickets: true,
            ticket_lifetime: TICKET_LIFETIME,
            client_auth: ClientAuth::None,
            client_roots: Vec::new(),
            client_revocations: Vec::new(),
            limits: HandshakeLimits::default(),
            provider: TlsProvider::default(),
        }
    }

    /// Adds a certificate: a file with its chain, the server's own certificate first and the root
    /// left out, and a file with its private key, both in PEM. The key is PKCS #8, PKCS #1 or SEC 1,
    /// and not encrypted. One file may have both.
    ///
    /// The first certificate is the default. Another one is chosen for a client that asks for one of
    /// its DNS names (SNI, RFC 6066, 3): those among the subject's alternative names, of which one
    /// may begin with `*.`, which stands for one label. If two certificates have a name, the one
    /// that was added first is chosen. A client that asks for no name, or for an unknown one, gets
    /// the default, and decides.
    pub fn certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identities.push(IdentitySource::new(Source::file(chain), Source::file(key)));
        self
    }

    /// As [`certificate_files`](Self::certificate_files), from bytes. A reload takes the same bytes
    /// again.
    pub fn certificate_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identities.push(IdentitySource::new(
            Source::bytes(chain.as_ref(), "the certificate chain"),
            Source::bytes(key.as_ref(), "the private key"),
        ));
        self
    }

    /// A file with an OCSP response in DER (RFC 6960) for the certificate added last. The server
    /// staples it to the certificate (RFC 6066, 8), and takes a newer one at a reload. Default:
    /// none.
    pub fn ocsp_file(mut self, path: impl Into<PathBuf>) -> Self {
        match self.identities.last_mut() {
            Some(identity) => identity.ocsp = Some(Source::file(path)),
            None => self.stray_ocsp = Some(path.into()),
        }
        self
    }

    /// The oldest version that is accepted. Default: 1.2. If both peers have 1.3, they use 1.3.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// The application protocols in order of preference (ALPN, RFC 7301). A client that offers none
    /// of them is refused; a client that does not use ALPN is served. None: ALPN is ignored. Default:
    /// `http/1.1`.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Whether clients get tickets, with which they resume a session (RFC 5077; RFC 8446, 4.6.1).
    /// A resumed session needs no certificate, so it costs the server a fraction. Default: true.
    pub fn session_tickets(mut self, enabled: bool) -> Self {
        self.has_tickets = enabled;
        self
    }

    /// How long a ticket can be used at most; the key of tickets changes each half of it. At least
    /// 2 s, at most 7 days (RFC 8446, 4.6.1). Default: 12 hours, so that a client that comes back on
    /// the same day resumes its session. A stolen key opens the tickets of no longer time than this.
    pub fn ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.ticket_lifetime = lifetime;
        self
    }

    /// Whether clients have to show a certificate. Default: [`ClientAuth::None`]. The others need
    /// roots.
    ///
    /// A resumed session shows the certificate of its first handshake, and it is not checked again:
    /// [`ticket_lifetime`](Self::ticket_lifetime) bounds how long. A reload ends all tickets if
    /// clients have certificates, so new roots and revocation lists are effective at once.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Adds a file with root certificates, in PEM, to those that clients' certificates lead to.
    pub fn client_roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_roots.push(Source::file(path));
        self
    }

    /// As [`client_roots_file`](Self::client_roots_file), from bytes.
    pub fn client_roots_pem(mut self, roots: impl AsRef<[u8]>) -> Self {
        self.client_roots.push(Source::bytes(roots.as_ref(), "the roots of client certificates"));
        self
    }

    /// Adds files with revocation lists (CRL, RFC 5280, 5), in PEM. With any list, each certificate
    /// of a client's chain below the root must have one, of its issuer, which is not older than it
    /// says itself: a client of which nothing is known is refused.
    pub fn client_revocation_files<P: Into<PathBuf>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.client_revocations.extend(paths.into_iter().map(Source::file));
        self
    }

    /// As [`client_revocation_files`](Self::client_revocation_files), from bytes.
    pub fn client_revocation_pem(mut self, lists: impl AsRef<[u8]>) -> Self {
        self.client_revocations.push(Source::bytes(lists.as_ref(), "the revocation lists"));
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

    /// Reads all files, and checks them. Not a yield point, but it reads files.
    ///
    /// # Errors
    ///
    /// If the provider is not in this program, if settings contradict each other, or if a file
    /// cannot be used. The error names the file, and what is wrong.
    pub fn build(self) -> Result<TlsConfig, TlsConfigError> {
        TlsConfig::load(self)
    }

    /// Reads all files. `tickets` are those of the configuration before.
    pub(crate) fn load(
        &self,
        tickets: Option<&Arc<Tickets>>,
        misses: &Arc<AtomicU64>,
    ) -> Result<(Loaded, Option<Arc<Tickets>>), TlsConfigError> {
        self.check()?;
        let crypto = self.provider.crypto().map_err(TlsConfigError::of_provider)?;
        let identities = self
            .identities
            .iter()
            .map(|source| source.load(self.provider, &crypto))
            .collect::<Result<Vec<Identity>, _>>()?;
        let mut warnings: Vec<TlsWarning> =
            identities.iter().flat_map(|identity| identity.warnings.iter().cloned()).collect();
        let (certificates, more) = CertificatesByName::new(&identities, Arc::clone(misses))
            .ok_or_else(|| TlsConfigError::of_settings(NO_CERTIFICATE))?;
        warnings.extend(more);
        let certificates = Arc::new(certificates);
        let (verifier, more) = self.verifier(&crypto)?;
        warnings.extend(more);
        let tickets = self.tickets(&crypto, tickets)?;
        let server = self.server(crypto, verifier, &certificates, tickets.as_ref())?;
        Ok((Loaded { server: Arc::new(server), certificates, warnings }, tickets))
    }

    /// The configuration for rustls, with each setting that matters said.
    fn server(
        &self,
        crypto: Arc<CryptoProvider>,
        verifier: Arc<dyn ClientCertVerifier>,
        certificates: &Arc<CertificatesByName>,
        tickets: Option<&Arc<Tickets>>,
    ) -> Result<ServerConfig, TlsConfigError> {
        let builder = ServerConfig::builder_with_details(crypto, Arc::new(Clock))
            .with_protocol_versions(self.min_version.and_later())
            .map_err(TlsConfigError::of_provider)?;
        let mut server = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(certificates) as _);
        server.ignore_client_order = true;
        server.max_fragment_size = None;
        server.alpn_protocols.clone_from(&self.alpn);
        server.key_log = Arc::new(NoKeyLog);
        // Data before the handshake's end can be replayed (RFC 8446, 8), and a handler does not
        // expect that.
        server.max_early_data_size = 0;
        server.send_half_rtt_data = false;
        // The state is in the tickets: a store would be one more thing to share and to bound.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        match tickets {
            Some(tickets) => {
                server.ticketer = Arc::clone(tickets) as _;
                // A ticket is used once (RFC 8446, C.4), and browsers open connections in pairs.
                server.send_tls13_tickets = 2;
            }
            None => server.send_tls13_tickets = 0,
        }
        Ok(server)
    }

    /// The tickets to go on with: those of before, except if a session that was resumed with one
    /// would escape changed roots or revocation lists.
    fn tickets(
        &self,
        crypto: &Arc<CryptoProvider>,
        before: Option<&Arc<Tickets>>,
    ) -> Result<Option<Arc<Tickets>>, TlsConfigError> {
        match before {
            _ if !self.has_tickets => Ok(None),
            Some(before) if self.client_auth == ClientAuth::None => Ok(Some(Arc::clone(before))),
            _ => {
                let new = Tickets::new(Arc::clone(crypto), self.ticket_lifetime);
                Ok(Some(Arc::new(new.map_err(TlsConfigError::of_provider)?)))
            }
        }
    }

    fn verifier(
        &self,
        crypto: &Arc<CryptoProvider>,
    ) -> Result<(Arc<dyn ClientCertVerifier>, Vec<TlsWarning>), TlsConfigError> {
        if self.client_auth == ClientAuth::None {
            return Ok((Arc::new(NoClientAuth), Vec::new()));
        }
        let roots = Arc::new(read_roots(&self.client_roots)?);
        let (lists, warnings) = read_revocations(&self.client_revocations)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(crypto))
            .with_crls(lists)
            .enforce_revocation_expiration();
        if self.client_auth == ClientAuth::Optional {
            builder = builder.allow_unauthenticated();
        }
        Ok((builder.build().map_err(TlsConfigError::of_provider)?, warnings))
    }

    /// Finds settings that contradict each other.
    fn check(&self) -> Result<(), TlsConfigError> {
        let has_auth = self.client_auth != ClientAuth::None;
        let lifetimes = TICKET_LIFETIME_MIN..=TICKET_LIFETIME_MAX;
        let problem = if self.stray_ocsp.is_some() {
            "an OCSP response is set before any certificate: add its certificate first"
        } else if self.identities.is_empty() {
            NO_CERTIFICATE
        } else if has_auth && self.client_roots.is_empty() {
            "clients are asked for certificates, and there are no roots to check them with: set \
             `client_roots_file`"
        } else if !has_auth && !self.client_roots.is_empty() {
            "there are roots for client certificates, and clients are not asked for any: set \
             `client_auth`"
        } else if !has_auth && !self.client_revocations.is_empty() {
            "there are revocation lists for client certificates, and clients are not asked for \
             any: set `client_auth`"
        } else if !lifetimes.contains(&self.ticket_lifetime) {
            "the lifetime of tickets must be at least 2 seconds and at most 7 days"
        } else {
            let common = check_alpn(&self.alpn).and_then(|()| check_limits(&self.limits));
            return common.map_err(TlsConfigError::of_settings);
        };
        Err(TlsConfigError::of_settings(problem))
    }
}

impl fmt::Debug for TlsConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfigBuilder")
            .field("provider", &self.provider)
            .field("certificates", &self.identities.len())
            .field("min_version", &self.min_version)
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

const NO_CERTIFICATE: &str = "there is no certificate: set `certificate_files`";

/// See [`TlsConfigBuilder::ticket_lifetime`].
const TICKET_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Half of it, the time of a key, is a whole second at least.
const TICKET_LIFETIME_MIN: Duration = Duration::from_secs(2);

/// RFC 8446, 4.6.1.
const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
