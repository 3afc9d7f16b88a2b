//! The entries of a folder, in batches.
//!
//! The system returns entries by the kilobyte, so most steps of an iterator find theirs in memory.
//! A job for each would cost much more than the entry.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use super::job::run_job;

/// As [`std::fs::read_dir`]: the entries of a folder, in the order of the file system.
///
/// # Blocking
///
/// A yield point, and so is each 128th step of the iterator.
///
/// # Cancellation
///
/// Nothing is changed. If a step of the iterator unwinds, the later entries are lost: the next step
/// is an error, and the one behind it the end.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     let mut names = Vec::new();
///     for entry in fs::read_dir(".")? {
///         names.push(entry?.file_name());
///     }
///     assert!(names.iter().any(|name| name == "Cargo.toml"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let (rest, batch) = run_job(move || Ok(read_batch(fs::read_dir(path)?)))?;
    Ok(ReadDir { batch: batch.into_iter(), rest })
}

/// As [`std::fs::ReadDir`]: what [`read_dir`] returns.
#[derive(Debug)]
pub struct ReadDir {
    batch: vec::IntoIter<io::Result<DirEntry>>,
    rest: Rest,
}

/// What the system has beyond the batch.
#[derive(Debug)]
enum Rest {
    More(fs::ReadDir),
    /// A job has it. If the caller looks again, it has left that job.
    Away,
    End,
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(entry);
            }
            match std::mem::replace(&mut self.rest, Rest::Away) {
                Rest::More(entries) => match run_job(move || Ok(read_batch(entries))) {
                    Ok((rest, batch)) => {
                        self.rest = rest;
                        self.batch = batch.into_iter();
                    }
                    Err(error) => {
                        self.rest = Rest::End;
                        return Some(Err(error));
                    }
                },
                Rest::Away => {
                    self.rest = Rest::End;
                    return Some(Err(io::Error::other(
                        "straightline: an earlier step was cancelled, and the entries are lost",
                    )));
                }
                Rest::End => {
                    self.rest = Rest::End;
                    return None;
                }
            }
        }
    }
}

fn read_batch(mut entries: fs::ReadDir) -> (Rest, Vec<io::Result<DirEntry>>) {
    let batch: Vec<_> =
        entries.by_ref().take(BATCH).map(|entry| entry.map(DirEntry::new)).collect();
    let rest = if batch.len() < BATCH { Rest::End } else { Rest::More(entries) };
    (rest, batch)
}

/// As [`std::fs::DirEntry`]: one entry of a folder.
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     for entry in fs::read_dir("src")? {
///         let entry = entry?;
///         if entry.file_type()?.is_file() {
///             println!("{}: {} bytes", entry.path().display(), entry.metadata()?.len());
///         }
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct DirEntry {
    std: Arc<fs::DirEntry>,
    /// Looked up with the batch: most file systems know it without another call.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(std: fs::DirEntry) -> Self {
        let file_type = std.file_type().ok();
        Self { std: Arc::new(std), file_type }
    }

    /// The path of the folder with the name of the entry. Not a yield point.
    pub fn path(&self) -> PathBuf {
        self.std.path()
    }

    /// The name of the entry, without the folder. Not a yield point.
    pub fn file_name(&self) -> OsString {
        self.std.file_name()
    }

    /// The number of the entry's inode. Not a yield point.
    pub fn ino(&self) -> u64 {
        self.std.ino()
    }

    /// Whether it is a file, a folder or something else. Links are not followed.
    ///
    /// # Blocking
    ///
    /// A yield point only if the system had an error when the folder was read.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn file_type(&self) -> io::Result<FileType> {
        if let Some(file_type) = self.file_type {
            return Ok(file_type);
        }
        let std = Arc::clone(&self.std);
        run_job(move || std.file_type())
    }

    /// What is known of the entry. Links are not followed.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn metadata(&self) -> io::Result<Metadata> {
        let std = Arc::clone(&self.std);
        run_job(move || std.metadata())
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}

/// How many entries one job reads. Some kilobytes, so an iterator that is held for long needs
/// little memory; arbitrary otherwise.
const BATCH: usize = 128;
