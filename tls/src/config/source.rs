//! Where PEM comes from: a file, which is read again at each reload, or bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::error::{Place, TlsConfigError, TlsConfigErrorKind};

/// A file, or bytes in its place.
#[derive(Clone)]
pub(crate) enum Source {
    File(PathBuf),
    /// The bytes, and the noun for them.
    Bytes(Arc<Zeroizing<Vec<u8>>>, &'static str),
}

/// What was read.
pub(crate) struct Content {
    pub(crate) place: Place,
    /// They may be a key.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether users other than the file's owner may read it.
    pub(crate) is_readable_by_others: bool,
}

impl Source {
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    pub(crate) fn bytes(bytes: &[u8], noun: &'static str) -> Self {
        Self::Bytes(Arc::new(Zeroizing::new(bytes.to_vec())), noun)
    }

    /// Reads it, up to a number of bytes.
    pub(crate) fn read(&self, bytes_max: u64) -> Result<Content, TlsConfigError> {
        match self {
            Self::File(path) => {
                let place = Place::File(path.clone());
                let (bytes, mode) = read_file(path, bytes_max).map_err(|error| {
                    let (text, cause) = match error {
                        ReadError::System(doing, error) => {
                            (format!("{doing}: {error}{}", hint(&error)), Some(error))
                        }
                        ReadError::Unfit(text) => (text, None),
                    };
                    let error = TlsConfigError::new(TlsConfigErrorKind::Unreadable, &place, text);
                    match cause {
                        Some(cause) => error.caused_by(cause),
                        None => error,
                    }
                })?;
                Ok(Content { place, bytes, is_readable_by_others: mode & OTHERS_READ != 0 })
            }
            Self::Bytes(bytes, noun) => Ok(Content {
                place: Place::Bytes(noun),
                bytes: Zeroizing::new(bytes.to_vec()),
                is_readable_by_others: false,
            }),
        }
    }
}

enum ReadError {
    /// What was done, and the system's error.
    System(&'static str, io::Error),
    Unfit(String),
}

/// The bytes of a file, and its mode.
fn read_file(path: &Path, bytes_max: u64) -> Result<(Zeroizing<Vec<u8>>, u32), ReadError> {
    // Asked before the file is opened: to open a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| ReadError::System("cannot read", error))?;
    if metadata.is_dir() {
        return Err(ReadError::Unfit("is a directory; name the file in it".to_owned()));
    }
    if !metadata.is_file() {
        let text = "is neither a file nor a link to one, so it could not be read again at a reload";
        return Err(ReadError::Unfit(text.to_owned()));
    }
    let file = File::open(path).map_err(|error| ReadError::System("cannot open", error))?;
    let capacity = usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0) + 1;
    // With room for all, so that no copy of a key stays behind when the vector grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ReadError::System("cannot read", error))?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("has more than {bytes_max} bytes, so it is probably another file");
        return Err(ReadError::Unfit(text));
    }
    Ok((bytes, metadata.mode()))
}

/// What helps, where that is known.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the user of this process must be allowed to read the file, and to enter its folders"
        }
        _ => "",
    }
}

/// The most bytes of a file with certificates or with a key. Arbitrary: all roots of a platform
/// have less.
pub(crate) const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// The most bytes of a file with revocation lists. Arbitrary: those of public authorities have some
/// megabytes.
pub(crate) const REVOCATION_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Read permission of the group or of all.
const OTHERS_READ: u32 = 0o044;
