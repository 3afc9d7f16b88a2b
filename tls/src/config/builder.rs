//! The builder of a server's configuration.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::error::TlsConfigError;
use crate::config::identity::IdentitySource;
use crate::config::reloadable::TlsConfig;
use crate::config::settings::{ClientAuth, Settings};
use crate::config::source::Source;
use crate::handshake_limits::HandshakeLimits;
use crate::provider::TlsProvider;
use crate::version::TlsVersion;

/// The settings of a server's TLS. [`TlsConfig::builder`] makes one, with the defaults that each
/// method tells. The methods are no yield points.
///
/// ```no_run
/// use straightline_tls::{ClientAuth, TlsConfig, TlsVersion};
///
/// let config = TlsConfig::builder()
///     .certificate_files("/etc/tls/example.com.pem", "/etc/tls/example.com.key")
///     .certificate_files("/etc/tls/example.org.pem", "/etc/tls/example.org.key")
///     .ocsp_file("/etc/tls/example.org.ocsp")
///     .min_version(TlsVersion::Tls13)
///     .client_auth(ClientAuth::Optional)
///     .client_roots_file("/etc/tls/clients.pem")
///     .build()?;
/// # Ok::<(), straightline_tls::TlsConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TlsConfigBuilder {
    settings: Settings,
}

impl TlsConfig {
    /// The settings with their defaults, and without a certificate. Not a yield point.
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder { settings: Settings::default() }
    }
}

impl TlsConfigBuilder {
    /// Adds a certificate: a file with its chain, the server's own certificate first and the root
    /// left out, and a file with its private key, both in PEM. The key is PKCS #8, PKCS #1 or SEC
    /// 1, and not encrypted. One file may have both.
    ///
    /// The first certificate is the default. Another one is chosen for a client that asks for one
    /// of its DNS names (SNI, RFC 6066, 3): those among the subject's alternative names, of which
    /// one may begin with `*.`, which stands for one label. If two certificates have a name, the
    /// one that was added first is chosen. A client that asks for no name, or for an unknown one,
    /// gets the default, and decides.
    pub fn certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.settings.identities.push(IdentitySource::new(Source::file(chain), Source::file(key)));
        self
    }

    /// As [`certificate_files`](Self::certificate_files), from bytes. A reload takes the same bytes
    /// again.
    pub fn certificate_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.settings.identities.push(IdentitySource::new(
            Source::bytes(chain.as_ref(), "the certificate chain"),
            Source::bytes(key.as_ref(), "the private key"),
        ));
        self
    }

    /// A file with an OCSP response in DER (RFC 6960) for the certificate added last. The server
    /// staples it to the certificate (RFC 6066, 8), and takes a newer one at a reload. Default:
    /// none.
    pub fn ocsp_file(mut self, path: impl Into<PathBuf>) -> Self {
        match self.settings.identities.last_mut() {
            Some(identity) => identity.ocsp = Some(Source::file(path)),
            None => self.settings.stray_ocsp = Some(path.into()),
        }
        self
    }

    /// The oldest version that is accepted. Default: 1.2. If both peers have 1.3, they use 1.3.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.settings.min_version = version;
        self
    }

    /// The application protocols in order of preference (ALPN, RFC 7301). A client that offers none
    /// of them is refused; a client that does not use ALPN is served. None: ALPN is ignored.
    /// Default: `http/1.1` and `http/1.0`.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.settings.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Whether clients get tickets, with which they resume a session (RFC 5077; RFC 8446, 4.6.1).
    /// A resumed session needs no certificate, so it costs the server a fraction. Default: true.
    pub fn session_tickets(mut self, enabled: bool) -> Self {
        self.settings.has_tickets = enabled;
        self
    }

    /// How long a ticket can be used at most; the key of tickets changes each half of it. At least
    /// 2 s, at most 7 days (RFC 8446, 4.6.1). Default: 12 hours, so that a client that comes back
    /// on the same day resumes its session. A stolen key opens the tickets of no longer time than
    /// this.
    pub fn ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.ticket_lifetime = lifetime;
        self
    }

    /// Whether clients have to show a certificate. Default: [`ClientAuth::None`]. The others need
    /// roots.
    ///
    /// A resumed session shows the certificate of its first handshake, and it is not checked again:
    /// [`ticket_lifetime`](Self::ticket_lifetime) bounds how long. A reload ends all tickets if
    /// clients have certificates, so new roots and revocation lists are effective at once.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.settings.client_auth = client_auth;
        self
    }

    /// Adds a file with root certificates, in PEM, to those that clients' certificates lead to.
    pub fn client_roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.client_roots.push(Source::file(path));
        self
    }

    /// As [`client_roots_file`](Self::client_roots_file), from bytes.
    pub fn client_roots_pem(mut self, roots: impl AsRef<[u8]>) -> Self {
        self.settings
            .client_roots
            .push(Source::bytes(roots.as_ref(), "the roots of client certificates"));
        self
    }

    /// Adds files with revocation lists (CRL, RFC 5280, 5), in PEM. With any list, each certificate
    /// of a client's chain below the root must have one, of its issuer, which is not older than it
    /// says itself: a client of which nothing is known is refused.
    pub fn client_revocation_files<P: Into<PathBuf>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.settings.client_revocations.extend(paths.into_iter().map(Source::file));
        self
    }

    /// As [`client_revocation_files`](Self::client_revocation_files), from bytes.
    pub fn client_revocation_pem(mut self, lists: impl AsRef<[u8]>) -> Self {
        self.settings
            .client_revocations
            .push(Source::bytes(lists.as_ref(), "the revocation lists"));
        self
    }

    /// How long a handshake may take, and how many run at once. Default:
    /// [`HandshakeLimits::default`].
    pub fn handshake_limits(mut self, limits: HandshakeLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Who does the cryptography. Default: [`TlsProvider::default`].
    pub fn provider(mut self, provider: TlsProvider) -> Self {
        self.settings.provider = provider;
        self
    }

    /// Reads all files, and checks them. Not a yield point, but it reads files.
    ///
    /// # Errors
    ///
    /// If the provider is not in this program, if settings contradict each other, or if a file
    /// cannot be used. The error names the file, and what is wrong.
    pub fn build(self) -> Result<TlsConfig, TlsConfigError> {
        TlsConfig::load(self.settings)
    }
}

impl fmt::Debug for TlsConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
