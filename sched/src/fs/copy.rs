//! A file that is copied by the system, piece by piece.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::job::run_job;

/// As [`std::fs::copy`]: copies the bytes and the permissions of a file, and returns the number of
/// bytes. A file at `to` is replaced.
///
/// The bytes do not pass through the program where the system can copy by itself (Linux).
///
/// # Blocking
///
/// A yield point. Up to 16 MiB is one job.
///
/// # Cancellation
///
/// The copy stops behind the current 16 MiB, and `to` has a part of the file.
///
/// # Errors
///
/// See [the module](super#errors); `InvalidInput` if `from` is not a regular file.
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-copy-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     let length = fs::copy("Cargo.toml", &path)?;
///     assert_eq!(fs::metadata(&path)?.len(), length);
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    let mut copying = run_job(move || Copying::begin(&from, &to)?.next_piece())?;
    while !copying.is_over {
        copying = run_job(move || copying.next_piece())?;
    }
    Ok(copying.count)
}

struct Copying {
    from: File,
    to: File,
    count: u64,
    is_over: bool,
}

impl Copying {
    fn begin(from: &Path, to: &Path) -> io::Result<Self> {
        let from = File::open(from)?;
        let metadata = from.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "the source path is neither a regular file nor a symlink to a regular file",
            ));
        }
        // The mode, so that no other user can read a private file for a moment.
        let mode = metadata.permissions().mode();
        let mut options = OpenOptions::new();
        let to = options.write(true).create(true).truncate(true).mode(mode).open(to)?;
        // Devices keep their permissions.
        if to.metadata()?.is_file() {
            to.set_permissions(metadata.permissions())?;
        }
        Ok(Self { from, to, count: 0, is_over: false })
    }

    fn next_piece(mut self) -> io::Result<Self> {
        // std copies with `copy_file_range` here.
        let count = io::copy(&mut (&self.from).take(COPY_PIECE_BYTES), &mut &self.to)?;
        self.count += count;
        self.is_over = count < COPY_PIECE_BYTES;
        Ok(self)
    }
}

/// How many bytes one job copies. Arbitrary: some milliseconds of a slow disk.
const COPY_PIECE_BYTES: u64 = 16 << 20;
