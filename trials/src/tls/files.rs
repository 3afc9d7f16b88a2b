//! The files of a server with TLS.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use straightline::tls::{TlsConnector, TlsProvider};

use super::NAME;

/// A certificate that signs itself, and its key, in PEM.
pub(crate) struct Pair {
    certificate: String,
    /// The certificate in DER.
    pub(crate) der: Vec<u8>,
    key: String,
}

/// The files that the server reads, in a folder that is removed when this is dropped.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Pair {
    /// Makes a new key (P-256) and its certificate.
    pub(crate) fn new() -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]);
        let made = made.map_err(io::Error::other)?;
        Ok(Self {
            certificate: made.cert.pem(),
            der: made.cert.der().to_vec(),
            key: made.signing_key.serialize_pem(),
        })
    }
}

/// A client that trusts the certificates, and has no sessions yet.
pub(crate) fn connector(pairs: &[Pair]) -> io::Result<TlsConnector> {
    let roots: String = pairs.iter().map(|pair| pair.certificate.as_str()).collect();
    let builder = TlsConnector::builder().provider(TlsProvider::AwsLc).roots_pem(roots);
    Ok(builder.build()?)
}

impl Files {
    pub(crate) fn new(pair: &Pair) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-trials-tls-{}-{number}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        // From here on the guard exists, and no failure leaves the folder behind.
        let files = Self { folder };
        files.write_certificate(pair)?;
        files.write_key(pair)?;
        Ok(files)
    }

    pub(crate) fn write_certificate(&self, pair: &Pair) -> io::Result<()> {
        fs::write(self.certificate(), &pair.certificate)
    }

    pub(crate) fn write_key(&self, pair: &Pair) -> io::Result<()> {
        fs::write(self.key(), &pair.key)
    }

    /// The server's flags for these files.
    pub(crate) fn flags(&self) -> [String; 4] {
        let path = |path: PathBuf| path.display().to_string();
        ["--cert".to_owned(), path(self.certificate()), "--key".to_owned(), path(self.key())]
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A folder that stays behind in the system's one for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
