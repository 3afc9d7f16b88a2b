//! The files that all servers share: a certificate, a page, configurations.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mode::FILE_BYTES;
use crate::tls::Folder;

/// Makes the folder, which is removed when the value is dropped.
pub(super) fn new() -> io::Result<Folder> {
    let folder = Folder::new()?;
    let path = folder.path();
    fs::create_dir(site(path))?;
    fs::write(site(path).join("page.txt"), vec![b'x'; FILE_BYTES])?;
    let both = [fs::read(certificate(path))?, fs::read(key(path))?].concat();
    fs::write(path.join("both.pem"), both)?;
    Ok(folder)
}

/// Where the files of [`Mode::File`](super::mode::Mode::File) are.
pub(super) fn site(folder: &Path) -> PathBuf {
    folder.join("site")
}

pub(super) fn certificate(folder: &Path) -> PathBuf {
    folder.join("certificate.pem")
}

pub(super) fn key(folder: &Path) -> PathBuf {
    folder.join("key.pem")
}
