//! A socket of the system, or of a simulation.
//!
//! Which one it is, is decided where it is made, and is one branch in each operation that always
//! goes the same way.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use straightline_sched::sim::Device;
use straightline_sched::{Watch, Watched};

use crate::sim::{DatagramHandle, EndHandle};

pub(crate) enum Socket<S, V> {
    System(S),
    Simulated(V),
}

/// A connection.
pub(crate) type Stream<S> = Socket<S, EndHandle>;

pub(crate) trait Simulated {
    /// What a shard watches.
    fn device(&self) -> &Device;
}

/// What std's two kinds of streams have both.
pub(crate) trait SystemStream: AsFd {
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl<S: AsFd, V: Simulated> Watch for Socket<S, V> {
    #[inline]
    fn watched(&self) -> Watched<'_> {
        match self {
            Self::System(socket) => Watched::Descriptor(socket.as_fd()),
            Self::Simulated(socket) => Watched::Device(socket.device()),
        }
    }
}

impl<S, V> Socket<S, V> {
    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(crate) fn system(&self) -> &S {
        match self {
            Self::System(socket) => socket,
            Self::Simulated(_) => no_descriptor(),
        }
    }

    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(crate) fn into_system(self) -> S {
        match self {
            Self::System(socket) => socket,
            Self::Simulated(_) => no_descriptor(),
        }
    }
}

impl<S: fmt::Debug, V: Simulated> fmt::Debug for Socket<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(socket) => socket.fmt(f),
            Self::Simulated(socket) => socket.device().fmt(f),
        }
    }
}

impl<S: AsFd, V> Socket<S, V> {
    /// # Panics
    ///
    /// If it is simulated.
    #[track_caller]
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.system().as_fd()
    }
}

#[cold]
#[track_caller]
pub(crate) fn no_descriptor() -> ! {
    panic!("straightline: a simulated socket has no descriptor")
}

// The system calls are made directly: through libc each of them would also switch the thread's
// asynchronous cancellation on and off, which costs as much as the call's own preparations.

impl<S: SystemStream> Stream<S> {
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => recv(stream, buffer, RecvFlags::empty()),
            Self::Simulated(stream) => stream.end().read(buffer, true),
        }
    }

    pub(crate) fn recv_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => recv(stream, buffer, RecvFlags::PEEK),
            Self::Simulated(stream) => stream.end().read(buffer, false),
        }
    }

    pub(crate) fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Self::System(stream) => Ok(rustix::io::readv(stream, buffers)?),
            Self::Simulated(stream) => {
                let mut total = 0;
                for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
                    match stream.end().read(buffer, true) {
                        Ok(count) => total += count,
                        // What was read before comes first.
                        Err(error) if total == 0 => return Err(error),
                        Err(_) => break,
                    }
                    if total == 0 {
                        break; // the end
                    }
                }
                Ok(total)
            }
        }
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::System(stream) => send(stream, bytes),
            Self::Simulated(stream) => stream.end().write(bytes),
        }
    }

    pub(crate) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::System(stream) => {
                let mut control = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(stream, buffers, &mut control, NO_SIGNAL)?)
            }
            // One write, as the system's is.
            Self::Simulated(stream) => {
                let all: Vec<u8> = buffers.iter().flat_map(|buffer| &**buffer).copied().collect();
                stream.end().write(&all)
            }
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.shutdown(how),
            Self::Simulated(stream) => stream.end().shutdown(how),
        }
    }
}

/// A socket for datagrams.
pub(crate) type Datagrams = Socket<UdpSocket, DatagramHandle>;

impl Datagrams {
    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        match self {
            Self::System(socket) => socket.connect(peer),
            Self::Simulated(socket) => {
                socket.socket().connect(peer);
                Ok(())
            }
        }
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self {
            Self::System(socket) => socket.send_to(bytes, to),
            Self::Simulated(socket) => socket.socket().send_to(bytes, to),
        }
    }

    pub(crate) fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Self::System(socket) => socket.recv_from(buffer),
            Self::Simulated(socket) => socket.socket().receive(buffer, true),
        }
    }

    pub(crate) fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Self::System(socket) => socket.peek_from(buffer),
            Self::Simulated(socket) => socket.socket().receive(buffer, false),
        }
    }

    pub(crate) fn send_datagram(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::System(socket) => send(socket, bytes),
            Self::Simulated(socket) => socket.socket().send(bytes),
        }
    }

    pub(crate) fn recv_datagram(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(socket) => recv(socket, buffer, RecvFlags::empty()),
            Self::Simulated(socket) => Ok(socket.socket().receive(buffer, true)?.0),
        }
    }

    pub(crate) fn peek_datagram(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::System(socket) => recv(socket, buffer, RecvFlags::PEEK),
            Self::Simulated(socket) => Ok(socket.socket().receive(buffer, false)?.0),
        }
    }
}

impl SystemStream for std::net::TcpStream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl SystemStream for std::os::unix::net::UnixStream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

pub(crate) fn recv(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, flags)?;
    Ok(count)
}

pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, NO_SIGNAL)?)
}

/// A write to a stream whose peer is gone is an error, and no signal.
const NO_SIGNAL: SendFlags = {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    let flags = SendFlags::NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    let flags = SendFlags::empty();
    flags
};
