//! An open file.
//!
//! Every job works on a buffer of its own, and on a share of the descriptor: its caller may leave
//! at any time. So the descriptor is closed when the file is dropped and its last job has ended.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::job::{PIECE_BYTES, run_job};
use super::text::text;

/// As [`std::fs::File`]: an open file, whose calls block the fiber only.
///
/// Each [`Read::read`] and [`Write::write`] is a job and moves at most 256 KiB, so put a
/// `BufReader` or a `BufWriter` around the file for small pieces. [`Read::read_to_end`] moves a MiB
/// in each job. A shared reference reads and writes as well.
///
/// # Cancellation
///
/// A read or a write that unwinds may have happened, and may have moved the file's position: see
/// [the module](super#cancellation).
///
/// # In a `Response`
///
/// The server sends a [`std::fs::File`] itself, see [`into_std`](Self::into_std).
///
/// ```
/// use std::io::{Read, Seek, SeekFrom, Write};
/// use straightline_sched::{self as sched, fs::File};
///
/// sched::run(|| {
/// #     let name = format!("straightline-file-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     let mut file = File::create_new(&path)?;
///     file.write_all(b"straight line")?;
///     file.sync_all()?;
///
///     let mut file = File::open(&path)?;
///     file.seek(SeekFrom::Start(9))?;
///     let mut end = String::new();
///     file.read_to_string(&mut end)?;
///     assert_eq!(end, "line");
///     sched::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct File {
    std: Arc<fs::File>,
}

impl File {
    /// As [`std::fs::File::open`]: opens a file to read it.
    ///
    /// # Blocking
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        run_job(move || fs::File::open(path)).map(Self::from)
    }

    /// As [`std::fs::File::create`]: opens a file to write it. It is made if it is not there, and
    /// otherwise loses what it contains.
    ///
    /// # Blocking
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        run_job(move || fs::File::create(path)).map(Self::from)
    }

    /// As [`std::fs::File::create_new`]: makes a file, and opens it to read and to write it. A file
    /// that is there is an error.
    ///
    /// # Blocking
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`](super::OpenOptions::open).
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        run_job(move || fs::File::create_new(path)).map(Self::from)
    }

    /// std's file. Not a yield point.
    ///
    /// A job that the caller has left may still have the descriptor; then this is a duplicate of
    /// it.
    ///
    /// # Errors
    ///
    /// When a duplicate is needed and the process has no more descriptors.
    ///
    /// ```
    /// use straightline_sched::{self as sched, fs::File};
    ///
    /// sched::run(|| {
    ///     let file: std::fs::File = File::open("Cargo.toml")?.into_std()?;
    ///     assert!(File::from(file).metadata()?.is_file()); // and back again
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_std(self) -> io::Result<fs::File> {
        Arc::try_unwrap(self.std).or_else(|shared| shared.try_clone())
    }

    /// As [`std::fs::File::try_clone`]: another descriptor of the same open file. The two share the
    /// position. Not a yield point.
    ///
    /// # Errors
    ///
    /// When the process has no more descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.std.try_clone().map(Self::from)
    }

    /// As [`std::fs::File::metadata`].
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.run(fs::File::metadata)
    }

    /// As [`std::fs::File::set_permissions`].
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.run(|file| file.set_permissions(permissions))
    }

    /// As [`std::fs::File::set_len`]: cuts the file off, or makes it longer with zeros.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        self.run(move |file| file.set_len(length))
    }

    /// As [`std::fs::File::sync_all`]: waits until the disk has the bytes and the metadata.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn sync_all(&self) -> io::Result<()> {
        self.run(fs::File::sync_all)
    }

    /// As [`std::fs::File::sync_data`]: waits until the disk has the bytes, and that part of the
    /// metadata without which they cannot be read.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn sync_data(&self) -> io::Result<()> {
        self.run(fs::File::sync_data)
    }

    /// As [`FileExt::read_at`]: reads from `offset` on. The file's position does not count, and
    /// does not move.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// Nothing has changed, so the call can be repeated.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    ///
    /// ```
    /// use straightline_sched::{self as sched, fs::File};
    ///
    /// sched::run(|| {
    ///     let mut word = [0; 7];
    ///     File::open("Cargo.toml")?.read_exact_at(&mut word, 1)?;
    ///     assert_eq!(&word, b"package");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_with(buffer, move |file, buffer| file.read_at(buffer, offset))
    }

    /// As [`FileExt::read_exact_at`]: fills the buffer from `offset` on.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As [`read_at`](Self::read_at); a part of the buffer may be filled.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors); `UnexpectedEof` if the file ends before.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// As [`FileExt::write_at`]: writes from `offset` on. The file's position does not count, and
    /// does not move.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// The bytes may have been written. To write them again to the same place does no harm.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    ///
    /// ```
    /// use straightline_sched::{self as sched, fs};
    ///
    /// sched::run(|| {
    /// #     let name = format!("straightline-at-{}", std::process::id());
    /// #     let path = std::env::temp_dir().join(name);
    ///     let file = fs::File::create(&path)?;
    ///     file.write_all_at(b"line", 9)?;
    ///     file.write_all_at(b"straight ", 0)?;
    ///     assert_eq!(fs::read(&path)?, b"straight line");
    ///     fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.write_with(&[IoSlice::new(bytes)], move |file, bytes| file.write_at(bytes, offset))
    }

    /// As [`FileExt::write_all_at`]: writes all bytes from `offset` on.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As [`write_at`](Self::write_at), or a part of them.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors).
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.std);
        run_job(move || call(&file))
    }

    /// Reads into a buffer of the job's, and copies from there.
    fn read_with(
        &self,
        buffer: &mut [u8],
        read: impl FnOnce(&fs::File, &mut [u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<usize> {
        let asked = buffer.len().min(CALL_BYTES);
        if asked == 0 {
            return Ok(0);
        }
        let bytes = self.run(move |file| {
            let mut bytes = vec![0; asked];
            let count = read(file, &mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        })?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Writes a copy of the bytes.
    fn write_with(
        &self,
        slices: &[IoSlice<'_>],
        write: impl FnOnce(&fs::File, &[u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<usize> {
        let length = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        let mut bytes = Vec::with_capacity(length.min(CALL_BYTES));
        for slice in slices {
            let room = CALL_BYTES - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        self.run(move |file| write(file, &bytes))
    }
}

impl Read for &File {
    /// A yield point, see [`File`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer, |mut file, buffer| file.read(buffer))
    }

    /// A yield point. One job reads up to 1 MiB. After an error or an unwind, the buffer has the
    /// bytes of the jobs that ended before.
    fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut total = 0;
        loop {
            let piece = self.run(|file| {
                let mut piece = Vec::new();
                file.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
                Ok(piece)
            })?;
            buffer.try_reserve(piece.len())?;
            buffer.extend_from_slice(&piece);
            total += piece.len();
            if piece.len() < PIECE_BYTES {
                return Ok(total);
            }
        }
    }

    /// As `read_to_end`. Without UTF-8 it is an error, and `buffer` stays as
    /// it was.
    fn read_to_string(&mut self, buffer: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes)?;
        buffer.push_str(&text(bytes)?);
        Ok(count)
    }
}

impl Write for &File {
    /// A yield point, see [`File`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// A yield point. The slices are written as one piece.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(slices, |mut file, bytes| file.write(bytes))
    }

    /// Does nothing: there is no buffer. Not a yield point.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    /// A yield point: a seek from the end may ask a server for the length.
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.run(move |mut file| file.seek(position))
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(buffer)
    }

    fn read_to_string(&mut self, buffer: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(buffer)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl Seek for File {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&*self).seek(position)
    }
}

impl From<fs::File> for File {
    fn from(file: fs::File) -> Self {
        Self { std: Arc::new(file) }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

/// How many bytes one `read` or `write` moves at most. To copy them takes longer than to hand over
/// the job, and a caller that leaves wastes little.
const CALL_BYTES: usize = 256 * 1024;
