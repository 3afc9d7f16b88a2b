//! A socket of the system, or of a simulation.
//!
//! The constructor decides which of them it is; each operation is one branch.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use straightline_sched::{Watch, Watched};

use crate::sim::Handle;
#[cfg(target_os = "linux")]
use crate::sys;

#[derive(Debug)]
pub(crate) enum Socket<S> {
    System(S),
    /// Boxed: a socket of the system is one number, and a server has many of them.
    Simulated(Box<Handle>),
}

impl<S> Socket<S> {
    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(crate) fn into_system(self) -> S {
        match self {
            Self::System(socket) => socket,
            Self::Simulated(_) => has_no_descriptor(),
        }
    }
}

impl<S: AsFd> Socket<S> {
    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::System(socket) => socket.as_fd(),
            Self::Simulated(_) => has_no_descriptor(),
        }
    }
}

impl<S: AsFd> Watch for Socket<S> {
    #[inline]
    fn watched(&self) -> Watched<'_> {
        match self {
            Self::System(socket) => socket.watched(),
            Self::Simulated(handle) => handle.device().watched(),
        }
    }
}

#[cold]
#[track_caller]
pub(crate) fn has_no_descriptor() -> ! {
    panic!("straightline: a simulated socket has no descriptor")
}

// The system calls are made directly: through libc each of them would also switch the thread's
// asynchronous cancellation on and off, which costs as much as the call's own preparations.

#[inline]
pub(crate) fn recv<S: AsFd>(socket: &Socket<S>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        Socket::System(socket) => {
            let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
            Ok(count)
        }
        Socket::Simulated(handle) => handle.recv(buffer),
    }
}

#[inline]
pub(crate) fn recv_vectored<S: AsFd>(
    socket: &Socket<S>,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    match socket {
        Socket::System(socket) => Ok(rustix::io::readv(socket, buffers)?),
        Socket::Simulated(handle) => handle.recv_vectored(buffers),
    }
}

#[inline]
pub(crate) fn recv_peek<S: AsFd>(socket: &Socket<S>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        Socket::System(socket) => {
            let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::PEEK)?;
            Ok(count)
        }
        Socket::Simulated(handle) => handle.peek(buffer),
    }
}

#[inline]
pub(crate) fn send<S: AsFd>(socket: &Socket<S>, bytes: &[u8]) -> io::Result<usize> {
    match socket {
        Socket::System(socket) => Ok(rustix::net::send(socket, bytes, NO_SIGNAL)?),
        Socket::Simulated(handle) => handle.send(bytes),
    }
}

#[inline]
pub(crate) fn send_vectored<S: AsFd>(
    socket: &Socket<S>,
    buffers: &[IoSlice<'_>],
) -> io::Result<usize> {
    let buffers = &buffers[..buffers.len().min(SLICES_MAX)];
    match socket {
        Socket::System(socket) => {
            let mut control = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(socket, buffers, &mut control, NO_SIGNAL)?)
        }
        Socket::Simulated(handle) => handle.send_vectored(buffers),
    }
}

/// Sends up to `count` bytes of the file from `offset` on; 0 if it has none there.
pub(crate) fn send_file<S: AsFd>(
    socket: &Socket<S>,
    file: &File,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if let Socket::System(socket) = socket {
        let mut from = offset;
        return Ok(sys::without_sigpipe(|| {
            rustix::fs::sendfile(socket, file, Some(&mut from), count)
        })?);
    }
    let mut buffer = vec![0; count.min(COPY_BYTES)];
    match file.read_at(&mut buffer, offset) {
        Ok(0) => Ok(0),
        Ok(count) => send(socket, &buffer[..count]),
        // The file's error, so waiting for the socket would not help.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(io::Error::other(error)),
        Err(error) => Err(error),
    }
}

/// Bytes that were written and that the peer has not acknowledged, or on a Unix socket not read;
/// `None` if the system does not tell.
pub(crate) fn unacknowledged<S: AsFd>(socket: &Socket<S>) -> Option<u64> {
    match socket {
        #[cfg(target_os = "linux")]
        Socket::System(socket) => sys::unacknowledged(socket.as_fd()),
        #[cfg(any(target_os = "macos", target_os = "freebsd"))]
        Socket::System(_) => None,
        Socket::Simulated(handle) => handle.unacknowledged().ok(),
    }
}

/// Whether the peer has closed its side or the connection is broken.
pub(crate) fn is_peer_gone<S: AsFd>(socket: &Socket<S>) -> bool {
    #[cfg(target_os = "linux")]
    if let Socket::System(socket) = socket {
        let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
        // `poll` tells an end or an error without being asked for it.
        return poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0);
    }
    match recv_peek(socket, &mut [0]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// As std's `shutdown`, of a stream of any kind.
pub(crate) fn shutdown<S: AsFd>(socket: &Socket<S>, how: Shutdown) -> io::Result<()> {
    match socket {
        Socket::System(socket) => {
            let how = match how {
                Shutdown::Read => rustix::net::Shutdown::Read,
                Shutdown::Write => rustix::net::Shutdown::Write,
                Shutdown::Both => rustix::net::Shutdown::Both,
            };
            Ok(rustix::net::shutdown(socket, how)?)
        }
        Socket::Simulated(handle) => handle.shutdown(how),
    }
}

/// How many slices one call takes at most (`IOV_MAX`; it has always been 1,024 on Linux).
pub(crate) const SLICES_MAX: usize = 1_024;

/// How many bytes of a file are copied at a time where the system cannot send a file by itself.
/// Arbitrary: so large that the calls cost little, so small that any memory is enough.
const COPY_BYTES: usize = 64 * 1024;

/// A peer that is gone is an error and not a SIGPIPE, whatever the program does with that signal.
/// On systems without the flag, std has set the corresponding socket option.
const NO_SIGNAL: SendFlags = {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    let flags = SendFlags::NOSIGNAL;
    #[cfg(target_os = "macos")]
    let flags = SendFlags::empty();
    flags
};
