//! Certificates for the tests, made once a process.

use std::sync::OnceLock;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::RootCertStore;

/// A root, and a certificate for `localhost` that it has signed.
pub(crate) struct Certificates {
    pub(crate) root_pem: String,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
    root: rustls::pki_types::CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// The same in the whole process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Certificates> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "straightline's tests");
        let root = params.self_signed(&key).expect("a root");
        let issuer = Issuer::new(params, key);
        let (chain_pem, key_pem) = leaf(&issuer, |_| {});
        Self { root_pem: root.pem(), chain_pem, key_pem, root: root.der().clone(), issuer }
    }

    /// Another certificate of the same root, and its key; `change` changes it.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        leaf(&self.issuer, change)
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        roots
    }
}

fn leaf(
    issuer: &Issuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    change(&mut params);
    let leaf = params.signed_by(&key, issuer).expect("a leaf");
    (leaf.pem(), key.serialize_pem())
}
