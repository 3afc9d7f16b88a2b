//! The settings of a server's TLS, and how the files that they name become a configuration of
//! rustls.

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
use crate::config::checks::{check_alpn, check_limits};
use crate::config::error::TlsConfigError;
use crate::config::identity::{Identity, IdentitySource, Leaf};
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

/// The settings. The builder describes each of them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(super) identities: Vec<IdentitySource>,
    /// A file to be stapled, named before any certificate.
    pub(super) stray_ocsp: Option<PathBuf>,
    pub(super) min_version: TlsVersion,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) has_tickets: bool,
    pub(super) ticket_lifetime: Duration,
    pub(super) client_auth: ClientAuth,
    pub(super) client_roots: Vec<Source>,
    pub(super) client_revocations: Vec<Source>,
    pub(super) limits: HandshakeLimits,
    pub(super) provider: TlsProvider,
}

/// What one reading of all files gives.
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) certificates: Arc<CertificatesByName>,
    pub(crate) tickets: Option<Arc<Tickets>>,
    pub(crate) warnings: Vec<TlsWarning>,
    /// In the order of the settings, so the default first.
    pub(crate) leaves: Vec<Leaf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            stray_ocsp: None,
            min_version: TlsVersion::Tls12,
            alpn: vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()],
            has_tickets: true,
            ticket_lifetime: TICKET_LIFETIME,
            client_auth: ClientAuth::None,
            client_roots: Vec::new(),
            client_revocations: Vec::new(),
            limits: HandshakeLimits::default(),
            provider: TlsProvider::default(),
        }
    }
}

impl Settings {
    /// Reads all files. `tickets` are those of the reading before.
    pub(crate) fn load(
        &self,
        tickets: Option<&Arc<Tickets>>,
        misses: &Arc<AtomicU64>,
    ) -> Result<Loaded, TlsConfigError> {
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
        let leaves = identities.iter().map(Leaf::of).collect();
        Ok(Loaded { server: Arc::new(server), certificates, tickets, warnings, leaves })
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("provider", &self.provider)
            .field("certificates", &self.identities.len())
            .field("min_version", &self.min_version)
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

const NO_CERTIFICATE: &str = "there is no certificate: set `certificate_files`";

/// So that a client that comes back on the same day resumes its session.
const TICKET_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Half of it, the time of a key, is a whole second at least.
const TICKET_LIFETIME_MIN: Duration = Duration::from_secs(2);

/// RFC 8446, 4.6.1.
const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]
#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};

    use super::*;

    fn with_certificate(provider: TlsProvider) -> Settings {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let chain = Source::bytes(certificate.pem().as_bytes(), "the certificate chain");
        let key = Source::bytes(key.serialize_pem().as_bytes(), "the private key");
        let identities = vec![IdentitySource::new(chain, key)];
        Settings { identities, provider, ..Settings::default() }
    }

    fn load(settings: &Settings) -> Arc<ServerConfig> {
        settings.load(None, &Arc::default()).unwrap().server
    }

    #[test]
    fn what_the_settings_leave_open_is_safe() {
        for &provider in TlsProvider::offered() {
            let server = load(&with_certificate(provider));
            assert_eq!(server.max_early_data_size, 0);
            assert!(!server.send_half_rtt_data && !server.enable_secret_extraction);
            assert!(server.ignore_client_order && !server.session_storage.can_cache());
            assert!(server.ticketer.enabled());
            assert_eq!(server.ticketer.lifetime(), 12 * 60 * 60);
            assert_eq!(server.send_tls13_tickets, 2);
            assert!(!server.key_log.will_log("CLIENT_RANDOM"));
            assert_eq!(server.alpn_protocols, [b"http/1.1", b"http/1.0"]);
        }
    }

    #[test]
    fn without_tickets_there_are_none_of_either_version() {
        for &provider in TlsProvider::offered() {
            let settings = Settings { has_tickets: false, ..with_certificate(provider) };
            let server = load(&settings);
            assert!(!server.ticketer.enabled());
            assert_eq!(server.send_tls13_tickets, 0);
        }
    }

    #[test]
    fn an_ocsp_response_stays_with_its_certificate() {
        for &provider in TlsProvider::offered() {
            let mut settings = with_certificate(provider);
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/good.ocsp");
            settings.identities[0].ocsp = Some(Source::file(path));
            let loaded = settings.load(None, &Arc::default()).unwrap();
            let certified = loaded.certificates.find("a.test").unwrap();
            assert_eq!(certified.ocsp, Some(std::fs::read(path).unwrap()));
        }
    }
    /// Connects a client of that version; the client reads its tickets.
    fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> ServerConnection {
        let name = ServerName::try_from("a.test").unwrap();
        let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
        while client.wants_write() || server.wants_write() {
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            client.write_tls(&mut to_server).unwrap();
            server.write_tls(&mut to_client).unwrap();
            let (mut to_server, mut to_client) = (&to_server[..], &to_client[..]);
            while !to_server.is_empty() {
                server.read_tls(&mut to_server).unwrap();
                server.process_new_packets().unwrap();
            }
            while !to_client.is_empty() {
                client.read_tls(&mut to_client).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        server
    }

    #[test]
    fn sessions_of_both_versions_are_resumed() {
        for &provider in TlsProvider::offered() {
            let settings = with_certificate(provider);
            let server = load(&settings);
            let roots = read_roots(&[settings.identities[0].chain.clone()]).unwrap();
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let client = ClientConfig::builder_with_provider(provider.crypto().unwrap())
                    .with_protocol_versions(&[version])
                    .unwrap()
                    .with_root_certificates(roots.clone())
                    .with_no_client_auth();
                let client = Arc::new(client);
                for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                    let connection = meet(&client, &server);
                    assert_eq!(connection.handshake_kind(), Some(kind), "{provider}");
                    assert_eq!(connection.protocol_version(), Some(version.version));
                }
            }
        }
    }
}
