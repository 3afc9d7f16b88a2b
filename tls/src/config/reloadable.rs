//! A configuration that can be read again while it is used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

use crate::config::error::TlsConfigError;
use crate::config::listing::{TlsSetting, list};
use crate::config::settings::ClientAuth;
use crate::config::settings::{Loaded, Settings};
use crate::config::warning::TlsWarning;
use crate::handshakes::Handshakes;
use crate::provider::TlsProvider;

/// The configuration of a server's TLS. A clone is cheap, and is the same configuration: a reload
/// of one is a reload of all.
///
/// ```no_run
/// use straightline_tls::TlsConfig;
///
/// let config = TlsConfig::builder()
///     .certificate_files("/etc/tls/chain.pem", "/etc/tls/key.pem")
///     .build()?;
/// for warning in config.warnings() {
///     eprintln!("{warning}");
/// }
/// # Ok::<(), straightline_tls::TlsConfigError>(())
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    handshakes: Arc<Handshakes>,
    misses: Arc<AtomicU64>,
    /// What new handshakes get. It is whole: a reload replaces it, or fails and does not.
    loaded: RwLock<Loaded>,
    /// Held while a reload reads, so that of two reloads the later one wins.
    reload: Mutex<()>,
}

impl TlsConfig {
    /// Builds the configuration of these settings.
    pub(super) fn load(settings: Settings) -> Result<Self, TlsConfigError> {
        let misses = Arc::default();
        let loaded = settings.load(None, &misses)?;
        let handshakes = Handshakes::new(settings.limits.clone(), settings.provider.is_slow());
        let (loaded, reload) = (RwLock::new(loaded), Mutex::new(()));
        Ok(Self { shared: Arc::new(Shared { settings, handshakes, misses, loaded, reload }) })
    }

    /// Reads all files again. New handshakes get what was read; connections that are open, and
    /// handshakes that have begun, keep what they have. The rest of the settings stays.
    ///
    /// The keys of tickets stay too, so that clients can resume their sessions, except if clients
    /// are asked for certificates: then sessions end with the roots and the revocation lists under
    /// which they began.
    ///
    /// Not a yield point, but it reads files: on a busy shard, call it through
    /// [`offload`](straightline_sched::offload()).
    ///
    /// # Errors
    ///
    /// As [`TlsConfigBuilder::build`](crate::TlsConfigBuilder::build). Then nothing changes. So the
    /// files of a pair can be replaced one after the other: a reload in between finds that they do
    /// not belong together.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let Shared { settings, misses, loaded, reload, .. } = &*self.shared;
        let _one_at_a_time = reload.lock();
        let tickets = loaded.read().tickets.clone();
        let next = settings.load(tickets.as_ref(), misses)?;
        let before = std::mem::replace(&mut *loaded.write(), next);
        // Dropped without the lock.
        drop(before);
        Ok(())
    }

    /// What is odd in the files that were read last, such as a certificate that has expired. A
    /// server should tell it at its start, and after each reload. Not a yield point.
    pub fn warnings(&self) -> Vec<TlsWarning> {
        self.shared.loaded.read().warnings.clone()
    }

    /// The effective settings as text, with the certificates that were read last. Not a yield
    /// point.
    ///
    /// ```no_run
    /// # use straightline_tls::TlsConfig;
    /// # let builder = TlsConfig::builder();
    /// for setting in builder.build()?.settings() {
    ///     println!("{} = {}", setting.name, setting.value);
    /// }
    /// # Ok::<(), straightline_tls::TlsConfigError>(())
    /// ```
    pub fn settings(&self) -> Vec<TlsSetting> {
        list(&self.shared.settings, &self.shared.loaded.read().leaves)
    }

    /// When the first of the certificates expires, for an alarm some weeks before; `None` if their
    /// dates cannot be read. Not a yield point.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.shared.loaded.read().leaves.iter().filter_map(|leaf| leaf.not_after).min()
    }

    /// Who does the cryptography. Not a yield point.
    pub fn provider(&self) -> TlsProvider {
        self.shared.settings.provider
    }

    /// How many clients asked for a name that no certificate has (SNI), and so got the default
    /// certificate. Not a yield point.
    pub fn sni_misses(&self) -> u64 {
        self.shared.misses.load(Ordering::Relaxed)
    }

    /// Whether a certificate has that DNS name, as it is or by a wildcard. Not a yield point.
    pub fn matches(&self, name: &str) -> bool {
        self.shared.loaded.read().certificates.find(name).is_some()
    }

    /// What a new handshake gets.
    pub(crate) fn current(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.shared.loaded.read().server)
    }

    /// Whether clients are asked for a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        self.shared.settings.client_auth != ClientAuth::None
    }

    /// The turns of handshakes, which a reload does not change.
    pub(crate) fn handshakes(&self) -> &Arc<Handshakes> {
        &self.shared.handshakes
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.settings.fmt(f)
    }
}
