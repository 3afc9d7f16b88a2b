//! Certificates, folders and handshakes for the tests.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use straightline_net::MemoryStream;
use straightline_sched as sched;
use straightline_tls::{
    TlsConfig, TlsConfigBuilder, TlsConnector, TlsConnectorBuilder, TlsInfo, TlsProvider, TlsStream,
};

/// A certificate with its key, in PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A root that signs certificates.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    /// A revocation list with that serial number, which is good until that year.
    pub(crate) fn revoke(&self, serial: &SerialNumber, until_year: i32) -> String {
        let revoked = RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-tls-config-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;

        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of `tests/data/`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A server with that certificate.
pub(crate) fn server(provider: TlsProvider, pair: &Pair) -> TlsConfigBuilder {
    TlsConfig::builder().provider(provider).certificate_pem(&pair.chain, &pair.key)
}

/// A client that trusts that authority.
pub(crate) fn client(provider: TlsProvider, authority: &Authority) -> TlsConnectorBuilder {
    TlsConnector::builder().provider(provider).roots_pem(authority.pem())
}

/// What a side of a connection knows of it after the handshake, or why there was none.
pub(crate) type Side = io::Result<TlsInfo>;

/// Connects the client to the server, lets the server send a word, and ends the connection. The
/// client reads to the end, so it has its tickets.
pub(crate) fn meet(config: &TlsConfig, connector: &TlsConnector, name: &str) -> (Side, Side) {
    let (config, connector, name) = (config.clone(), connector.clone(), name.to_owned());
    sched::run(move || meet_in_fiber(&config, &connector, &name))
}

/// The same in a fiber: the server's side and the client's.
pub(crate) fn meet_in_fiber(
    config: &TlsConfig,
    connector: &TlsConnector,
    name: &str,
) -> (Side, Side) {
    let (one, other) = MemoryStream::pair(64 * 1024);
    let config = config.clone();
    let server = sched::spawn(move || -> Side {
        let mut stream = TlsStream::accept(other, &config)?;
        stream.write_all(WORD)?;
        stream.close()?;
        Ok(stream.info().unwrap().clone())
    });
    let client = (|| -> Side {
        let mut stream = connector.connect(name, one)?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        assert_eq!(received, WORD);
        Ok(stream.info().unwrap().clone())
    })();
    (server.join().unwrap(), client)
}

const WORD: &[u8] = b"hello";

/// The first DNS name of the certificate that the peer showed.
pub(crate) fn name_of_peer(info: &TlsInfo) -> String {
    let certificate = webpki::EndEntityCert::try_from(&info.peer_certificates()[0]).unwrap();
    certificate.valid_dns_names().next().unwrap().to_owned()
}
