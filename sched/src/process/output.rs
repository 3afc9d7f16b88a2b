//! Both outputs of a child, read by one fiber.
//!
//! A child that fills one pipe waits until that pipe is read. So both are read as they fill.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use super::pipe::{ChildStderr, ChildStdout, try_read};
use crate::core::{Source, checkpoint, wait_for_armed};
use crate::driver::Interest;

/// Reads both to their ends, and at most `bytes_max` bytes from each.
pub(super) fn read_outputs(
    stdout: Option<&ChildStdout>,
    stderr: Option<&ChildStderr>,
    bytes_max: usize,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut streams = [
        Stream::new(stdout.map(ChildStdout::source), "standard output", bytes_max),
        Stream::new(stderr.map(ChildStderr::source), "standard error", bytes_max),
    ];
    let mut buffer = vec![0; BUFFER_BYTES];
    while streams.iter().any(|stream| stream.open.is_some()) {
        checkpoint();
        let mut is_armed = true;
        for stream in &mut streams {
            is_armed &= stream.read_or_arm(&mut buffer)?;
        }
        if is_armed {
            wait_for_armed(None)?;
        }
    }
    let [stdout, stderr] = streams.map(|stream| stream.bytes);
    Ok((stdout, stderr))
}

struct Stream<'p> {
    /// Until its end.
    open: Option<&'p Source<OwnedFd>>,
    /// `bytes.len() <= bytes_max`.
    bytes: Vec<u8>,
    bytes_max: usize,
    name: &'static str,
}

impl<'p> Stream<'p> {
    fn new(open: Option<&'p Source<OwnedFd>>, name: &'static str, bytes_max: usize) -> Self {
        Self { open, bytes: Vec::new(), bytes_max, name }
    }

    /// Reads once. Returns true if nothing was read: the next change wakes the fiber, or none will
    /// come, because the stream is over.
    fn read_or_arm(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(source) = self.open else { return Ok(true) };
        match try_read(source.inner(), buffer)? {
            None => {
                source.clear(Interest::Read);
                return source.arm(Interest::Read);
            }
            Some(0) => self.open = None,
            Some(count) if count > self.bytes_max - self.bytes.len() => {
                return Err(self.is_too_long());
            }
            Some(count) => {
                self.bytes.try_reserve(count)?;
                self.bytes.extend_from_slice(&buffer[..count]);
            }
        }
        Ok(false)
    }

    #[cold]
    fn is_too_long(&self) -> io::Error {
        let Self { bytes_max, name, .. } = self;
        let text = format!("the child has written more than {bytes_max} bytes to its {name}");
        io::Error::new(ErrorKind::FileTooLarge, text)
    }
}

/// As much as a full pipe has on Linux.
const BUFFER_BYTES: usize = 64 * 1024;
