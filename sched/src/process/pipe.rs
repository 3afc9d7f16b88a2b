//! The program's ends of the pipes to and from a child.
//!
//! An end is set to be non-blocking. The child's end is another open file, and stays as it is.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::thread;

use rustix::io::{Errno, ioctl_fionbio, read, readv, write, writev};

use crate::core::{Source, checkpoint, note_unwound_write};
use crate::driver::Interest;
use crate::sync::Ready;

/// One end of a pipe.
#[derive(Debug)]
struct Pipe {
    source: Source<OwnedFd>,
}

impl Pipe {
    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        ioctl_fionbio(&descriptor, true)?;
        Ok(Self { source: Source::new(descriptor) })
    }

    /// Calls `act`, and waits while it would block.
    fn wait_for(
        &self,
        interest: Interest,
        mut act: impl FnMut(&OwnedFd) -> Result<usize, Errno>,
    ) -> io::Result<usize> {
        // Before the act: this may raise, and the bytes of a read would be lost.
        checkpoint();
        loop {
            match act(self.source.inner()) {
                Err(Errno::AGAIN) => {
                    self.source.clear(interest);
                    self.source.wait(interest)?;
                }
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait_for(Interest::Read, |pipe| read(pipe, &mut *buffer))
    }

    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = buffers.len().min(SLICES_MAX);
        self.wait_for(Interest::Read, |pipe| readv(pipe, &mut buffers[..count]))
    }

    fn write(&self, act: impl FnMut(&OwnedFd) -> Result<usize, Errno>) -> io::Result<usize> {
        let _unwound = Unwound;
        self.wait_for(Interest::Write, act)
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(SLICES_MAX)];
        self.write(|pipe| writev(pipe, slices))
    }
}

/// Counts a write that wrote nothing because its fiber unwinds.
struct Unwound;

impl Drop for Unwound {
    fn drop(&mut self) {
        if thread::panicking() {
            note_unwound_write();
        }
    }
}

/// Reads what has come, without waiting: `None` if nothing has.
pub(super) fn try_read(pipe: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match read(pipe, &mut *buffer) {
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            result => return Ok(Some(result?)),
        }
    }
}

/// Writes what each end of a pipe has.
macro_rules! impl_end {
    ($name:ident, $std:ty) => {
        impl $name {
            pub(super) fn new(std: $std) -> io::Result<Self> {
                Pipe::new(std.into()).map(|pipe| Self { pipe })
            }

            /// The descriptor, which is non-blocking.
            pub(super) fn into_descriptor(self) -> OwnedFd {
                self.pipe.source.into_inner()
            }

            /// The descriptor, which blocks again. Not a yield point.
            ///
            /// # Errors
            ///
            /// The system's error.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                let descriptor = self.into_descriptor();
                ioctl_fionbio(&descriptor, false)?;
                Ok(descriptor)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.source.inner().as_fd()
            }
        }
    };
}

/// Writes what an end has that is read from.
macro_rules! impl_reader {
    ($name:ident, $std:ty) => {
        impl_end!($name, $std);

        impl $name {
            /// That there is something to read or the end, as a thing to
            /// [`select`](crate::sync::select()) on. Not a yield point.
            pub fn readable(&self) -> Ready<'_> {
                Ready::to_read(&self.pipe.source)
            }

            pub(super) fn source(&self) -> &Source<OwnedFd> {
                &self.pipe.source
            }
        }

        impl Read for &$name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.pipe.read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.pipe.read_vectored(buffers)
            }
        }

        impl Read for $name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.pipe.read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.pipe.read_vectored(buffers)
            }
        }
    };
}

/// As [`std::process::ChildStdin`]: the pipe to a child's standard input.
///
/// A write waits while the pipe is full (64 KiB on Linux). To drop it is the end of the child's
/// input. A child that reads no more is the error [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// A child that answers while it reads must be read meanwhile: write in one fiber of a
/// [`scope`](crate::scope), and read in another.
///
/// ```
/// use std::io::{Read, Write};
/// use straightline_sched::{self as sched, process::{Command, Stdio}};
///
/// sched::run(|| {
///     let mut child =
///         Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let (mut to_child, mut from_child) =
///         (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///     let echo = sched::scope(|s| {
///         s.spawn(move || to_child.write_all(&vec![b'x'; 1_000_000])); // and its end
///         let mut echo = Vec::new();
///         from_child.read_to_end(&mut echo).map(|_| echo)
///     })?;
///     assert_eq!(echo.len(), 1_000_000);
///     assert!(child.wait()?.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ChildStdin {
    pipe: Pipe,
}

impl_end!(ChildStdin, process::ChildStdin);

impl ChildStdin {
    /// That there is room to write, or that the child reads no more, as a thing to
    /// [`select`](crate::sync::select()) on. Not a yield point.
    pub fn writable(&self) -> Ready<'_> {
        Ready::to_write(&self.pipe.source)
    }
}

impl Write for &ChildStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.write(|pipe| write(pipe, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pipe.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for ChildStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As [`std::process::ChildStdout`]: the pipe from a child's standard output.
///
/// A read waits until there is something. The end comes when every process that has the other side
/// of the pipe has closed it, and so may come before the child's own end, or behind it.
///
/// ```
/// use std::io::{BufRead, BufReader};
/// use straightline_sched::{self as sched, process::{Command, Stdio}};
///
/// sched::run(|| {
///     let mut child =
///         Command::new("sh").args(["-c", "echo a; echo b"]).stdout(Stdio::piped()).spawn()?;
///     let lines = BufReader::new(child.stdout.take().unwrap()).lines();
///     assert_eq!(lines.collect::<Result<Vec<_>, _>>()?, ["a", "b"]);
///     child.wait()?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ChildStdout {
    pipe: Pipe,
}

impl_reader!(ChildStdout, process::ChildStdout);

/// As [`std::process::ChildStderr`]: the pipe from a child's standard error. It reads as a
/// [`ChildStdout`] does.
#[derive(Debug)]
pub struct ChildStderr {
    pipe: Pipe,
}

impl_reader!(ChildStderr, process::ChildStderr);

/// How many slices one call takes at most (`IOV_MAX` of Linux; others have the same).
const SLICES_MAX: usize = 1_024;
