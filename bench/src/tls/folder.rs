//! The files that all servers share: the certificate, its key, and what they send.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// A folder that is removed when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, with a new certificate of a P-256 key.
    pub(crate) fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("straightline-bench-tls-{}", process::id()));
        fs::create_dir(&path)?;
        // From here on the guard exists, and no failure leaves the folder behind.
        let folder = Self(path);
        let pair = rcgen::generate_simple_self_signed([NAME.to_owned()]);
        let pair = pair.map_err(io::Error::other)?;
        fs::write(folder.path().join(CERTIFICATE), pair.cert.pem())?;
        fs::write(folder.path().join(KEY), pair.signing_key.serialize_pem())?;
        // Zeros: what is encrypted does not matter, and a file with a hole costs no disk.
        File::create(folder.path().join(FILE))?.set_len(FILE_BYTES)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind in the system's one for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const KEY: &str = "key.pem";
/// What is sent for `/file`.
pub(super) const FILE: &str = "file";
pub(super) const FILE_BYTES: u64 = 64 << 20;
