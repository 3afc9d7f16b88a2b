//! The files that all servers send.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// A folder that is removed when this is dropped. The files are in `site` below it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder with files of those names and lengths in bytes.
    pub(crate) fn new(files: &[(&str, usize)]) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("straightline-bench-files-{}", process::id()));
        fs::create_dir(&path)?;
        // From here on the guard exists, and no failure leaves the folder behind.
        let folder = Self(path);
        fs::create_dir(folder.site())?;
        for (name, bytes) in files {
            fs::write(folder.site().join(name), vec![b'x'; *bytes])?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn site(&self) -> PathBuf {
        self.0.join(SITE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind in the system's one for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The name of the folder with the files.
pub(super) const SITE: &str = "site";
