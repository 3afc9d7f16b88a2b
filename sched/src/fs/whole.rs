//! Files that are read and written as a whole.
//!
//! The first piece is moved by the job that opens the file. So a file of up to one piece costs one
//! job, and a long file does not keep a thread of the pool after its caller has left.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::job::{PIECE_BYTES, run_job};
use super::text::text;

/// As [`std::fs::read`]: the bytes of a file.
///
/// The file's length is not bounded here. For a file that a client may choose or grow, look at
/// [`metadata`](super::metadata) before, or read a part with [`Read::take`].
///
/// # Blocking
///
/// A yield point. A file of less than 1 MiB is one job.
///
/// # Cancellation
///
/// Nothing of the file is changed. The read stops behind the current MiB.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(fs::read("Cargo.toml")?.starts_with(b"[package]"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    let (mut file, mut bytes) = run_job(move || {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        // A hint: files of `/proc` say 0, and other files grow.
        let expected = file.metadata().map_or(0, |metadata| metadata.len());
        bytes.try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX))?;
        read_piece(file, bytes)
    })?;
    while let Some(rest) = file {
        (file, bytes) = run_job(move || read_piece(rest, bytes))?;
    }
    Ok(bytes)
}

/// Reads one piece more. Returns the file if its end was not reached.
fn read_piece(file: File, mut bytes: Vec<u8>) -> io::Result<(Option<File>, Vec<u8>)> {
    let count = (&file).take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(((count == PIECE_BYTES).then_some(file), bytes))
}

/// As [`std::fs::read_to_string`]: the text of a file.
///
/// # Blocking
///
/// As [`read`].
///
/// # Cancellation
///
/// As [`read`].
///
/// # Errors
///
/// As [`read`], and `InvalidData` if the file is not UTF-8.
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(fs::read_to_string("Cargo.toml")?.starts_with("[package]"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    text(read(path)?)
}

/// As [`std::fs::write`]: makes a file of these bytes. A file that is there loses what it contains.
///
/// # Blocking
///
/// A yield point. Up to 1 MiB is one job. The job works on a copy of the bytes.
///
/// # Cancellation
///
/// The file may be there, empty or in part. To replace a file in one step, write to another name
/// and [`rename`](super::rename) it, in an [`uncancellable`](crate::uncancellable) section if no
/// other name may stay behind.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-write-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::write(&path, "a line\n")?;
///     assert_eq!(fs::read(&path)?, b"a line\n");
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    let (piece, mut rest) = next_piece(contents.as_ref());
    let is_last = rest.is_empty();
    let mut file = run_job(move || write_piece(File::create(path)?, &piece, is_last))?;
    while let Some(open) = file {
        let (piece, behind) = next_piece(rest);
        let is_last = behind.is_empty();
        file = run_job(move || write_piece(open, &piece, is_last))?;
        rest = behind;
    }
    Ok(())
}

/// A copy of the first piece, for a job, and the bytes behind it.
fn next_piece(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let (piece, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES));
    (piece.to_vec(), rest)
}

/// Writes a piece. Returns the file unless that was the last one.
fn write_piece(mut file: File, piece: &[u8], is_last: bool) -> io::Result<Option<File>> {
    file.write_all(piece)?;
    Ok((!is_last).then_some(file))
}
