//! Which certificate a client gets: the one for the name that it asks for (SNI, RFC 6066, 3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::asked_name;
use crate::config::identity::Identity;
use crate::config::warning::{TlsWarning, TlsWarningKind};

/// The certificates by name.
pub(crate) struct CertificatesByName {
    /// For a client that gives no name, or one that no certificate has.
    default: Arc<CertifiedKey>,
    /// In lower case. A wildcard is here by what follows its `*`.
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// How many clients gave a name that no certificate has; shared over reloads.
    misses: Arc<AtomicU64>,
}

impl CertificatesByName {
    /// With the first identity as the default; `None` without one. If two certificates have a name,
    /// the first one is chosen for it, and there is a warning.
    pub(crate) fn new(
        identities: &[Identity],
        misses: Arc<AtomicU64>,
    ) -> Option<(Self, Vec<TlsWarning>)> {
        let default = Arc::clone(&identities.first()?.certified);
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        let mut warnings = Vec::new();
        for identity in identities {
            for name in &identity.names {
                let slot = match name.strip_prefix('*') {
                    None => exact.entry(name.clone()),
                    Some(rest) => wildcards.entry(rest.into()),
                };
                match slot {
                    Entry::Vacant(slot) => {
                        slot.insert(Arc::clone(&identity.certified));
                    }
                    Entry::Occupied(slot) if Arc::ptr_eq(slot.get(), &identity.certified) => {}
                    Entry::Occupied(_) => {
                        let kind = TlsWarningKind::NameTaken { name: name.clone() };
                        warnings.push(TlsWarning::new(kind, &identity.place, &identity.names));
                    }
                }
            }
        }
        Some((Self { default, exact, wildcards, misses }, warnings))
    }

    /// The certificate for that name. A wildcard stands for one label (RFC 9525, 6.3), and a name
    /// as it is goes before a wildcard.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || {
            let (label, _) = name.split_once('.')?;
            self.wildcards.get(&name[label.len()..])
        };
        self.exact.get(name.as_str()).or_else(wildcard)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        asked_name::note(hello.server_name());
        // An address is no name (RFC 6066, 3); rustls drops such a name.
        let found = hello.server_name().map(|name| self.find(name));
        if matches!(found, Some(None)) {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        Some(Arc::clone(found.flatten().unwrap_or(&self.default)))
    }
}

impl fmt::Debug for CertificatesByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.exact.len() + self.wildcards.len();
        f.debug_struct("CertificatesByName").field("names", &names).finish_non_exhaustive()
    }
}
