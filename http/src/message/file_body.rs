//! Files as bodies: a file that cannot be sent is an error here, and not only after its head was
//! sent.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::response_body::{ResponseBody, Streamed};

/// The whole file. One whose size differs from what can be read is read to its end.
pub(super) fn whole(file: File) -> io::Result<ResponseBody> {
    let length = regular_length(&file)?;
    let probed_at = if length <= PROBED_WHOLE { length.saturating_sub(1) } else { 0 };
    if has_byte(&file, probed_at)? == (length > 0) {
        return Ok(ResponseBody::streamed(Streamed::File(0..length, file)));
    }
    let mut reader = FromStart { file, at: 0 };
    Ok(ResponseBody::stream(move |_, body| body.copy_from(&mut reader)))
}

/// A part of the file.
pub(super) fn part(file: File, part: Range<u64>) -> io::Result<ResponseBody> {
    let length = regular_length(&file)?;
    if part.start > part.end || part.end > length {
        let message = format!("bytes {} to {} of {length}", part.start, part.end);
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    if !part.is_empty() && !has_byte(&file, part.start)? {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the file has no such bytes"));
    }
    Ok(ResponseBody::streamed(Streamed::File(part, file)))
}

fn regular_length(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(metadata.len())
}

/// Whether the file can be read there.
fn has_byte(file: &File, offset: u64) -> io::Result<bool> {
    file.read_at(&mut [0], offset).map(|count| count > 0).map_err(unreadable)
}

/// The error for a file that cannot be read.
fn unreadable(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) {
        return io::Error::new(ErrorKind::PermissionDenied, "not opened for reading");
    }
    error
}

/// Reads a file from its start, independently of the file position, which other users may share.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, self.at).inspect(|&count| self.at += count as u64)
    }
}

/// Up to this size, the last byte of the file must be readable; otherwise the size is wrong (for
/// all files in `/sys` it is a page). Arbitrary: the system reads as much at once.
const PROBED_WHOLE: u64 = 64 * 1024;
