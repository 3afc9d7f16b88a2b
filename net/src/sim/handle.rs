//! The program's handle for a socket of the table.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use rustix::io::Errno;
use straightline_sched::sim::{self, Device};

use super::table::{Net, NetState, SocketKey, SocketKind};

/// A socket of a simulation. Dropping it closes the socket.
pub(crate) struct Handle {
    net: Rc<Net>,
    key: SocketKey,
    device: Rc<Device>,
    /// It became a [`Bound`], so its drop closes nothing.
    is_moved: bool,
}

/// A socket on its way from one shard to another. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Bound {
    net: u64,
    pub(super) key: SocketKey,
    /// It became a [`Handle`], so its drop closes nothing.
    is_moved: bool,
}

impl Handle {
    pub(super) fn of(net: &Rc<Net>, key: SocketKey) -> io::Result<Self> {
        let device = net.with(|state| state.add_device(key))?;
        Ok(Self { net: Rc::clone(net), key, device, is_moved: false })
    }

    /// A handle for another socket of the same network.
    pub(super) fn another(&self, key: SocketKey) -> io::Result<Self> {
        Self::of(&self.net, key)
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut NetState, SocketKey) -> R) -> io::Result<R> {
        self.net.with(|state| act(state, self.key))
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn into_bound(mut self) -> Bound {
        self.is_moved = true;
        Bound { net: self.net.number(), key: self.key, is_moved: false }
    }

    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, false)
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, true)
    }

    pub(crate) fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
            match self.recv(buffer) {
                Ok(count) => total += count,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
            if total == 0 {
                break;
            }
        }
        Ok(total)
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        self.with(|state, key| match state.sockets[key].kind {
            SocketKind::Tcp(_) => state.recv_tcp(key, buffer, peek),
            SocketKind::Unix(_) => state.recv_unix(key, buffer, peek),
            SocketKind::Udp(_) => state.recv_udp(key, buffer, peek).map(|(count, _)| count),
            SocketKind::TcpListener(_) | SocketKind::UnixListener(_) => Err(Errno::NOTCONN.into()),
        })?
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(bytes)])
    }

    pub(crate) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.with(|state, key| match state.sockets[key].kind {
            SocketKind::Tcp(_) => state.send_tcp(key, buffers),
            SocketKind::Unix(_) => state.send_unix(key, buffers),
            SocketKind::Udp(_) => state.send_udp(key, &buffers.concat_bytes(), None),
            SocketKind::TcpListener(_) | SocketKind::UnixListener(_) => Err(Errno::NOTCONN.into()),
        })?
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.with(|state, key| match state.sockets[key].kind {
            SocketKind::Tcp(_) => state.shutdown_tcp(key, how),
            SocketKind::Unix(_) => {
                state.shutdown_unix(key, how);
                Ok(())
            }
            _ => Err(Errno::NOTCONN.into()),
        })?
    }

    pub(crate) fn reset(&self) -> io::Result<()> {
        self.with(NetState::reset_tcp)?
    }

    /// Bytes that were written and have not arrived; on a Unix socket, that were not read.
    pub(crate) fn unacknowledged(&self) -> io::Result<u64> {
        self.with(|state, key| match &state.sockets[key].kind {
            SocketKind::Tcp(tcp) => Ok(tcp.outgoing.unacknowledged()),
            SocketKind::Unix(end) => Ok(state.unread_by_peer(end)),
            _ => Err(Errno::OPNOTSUPP.into()),
        })?
    }

    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        self.with(|state, key| state.tcp_mut(key).zero_linger = true)
    }

    /// For TCP and UDP.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|state, key| match &state.sockets[key].kind {
            SocketKind::Tcp(tcp) => Ok(tcp.shown(tcp.local)),
            SocketKind::TcpListener(listener) => Ok(listener.local),
            SocketKind::Udp(udp) => Ok(udp.local),
            SocketKind::Unix(_) | SocketKind::UnixListener(_) => Err(Errno::OPNOTSUPP.into()),
        })?
    }

    /// For TCP and UDP.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|state, key| match &state.sockets[key].kind {
            SocketKind::Tcp(_) => state.peer_of_tcp(key),
            SocketKind::Udp(udp) => udp.peer.ok_or(Errno::NOTCONN.into()),
            _ => Err(Errno::NOTCONN.into()),
        })?
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with(|state, key| match &mut state.sockets[key].kind {
            SocketKind::Tcp(tcp) => tcp.take_error().err(),
            SocketKind::Udp(udp) => udp.take_error().err(),
            _ => None,
        })
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        self.with(|state, key| state.tcp(key).nodelay)
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.with(|state, key| state.tcp_mut(key).nodelay = nodelay)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_moved {
            self.net.close(self.key);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.device.fmt(f)
    }
}

impl Bound {
    /// # Errors
    ///
    /// Outside of its simulation.
    pub(crate) fn into_handle(mut self) -> io::Result<Handle> {
        let handle = self.with(|net| Handle::of(net, self.key))?;
        self.is_moved = true;
        handle
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&Rc<Net>) -> R) -> io::Result<R> {
        if sim::is_simulated() {
            let net = Net::current();
            if net.number() == self.net {
                return Ok(act(&net));
            }
        }
        let message = "a simulated socket outside of its simulation";
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// Another handle for the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.with(|net| net.with(|state| state.sockets[self.key].open()))??;
        Ok(Self { net: self.net, key: self.key, is_moved: false })
    }

    /// For TCP.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|net| {
            net.with(|state| match &state.sockets[self.key].kind {
                SocketKind::TcpListener(listener) => Ok(listener.local),
                _ => Err(Errno::OPNOTSUPP.into()),
            })?
        })?
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if !self.is_moved {
            let _ = self.with(|net| net.close(self.key)); // it is closed with its simulation
        }
    }
}

/// All bytes of several buffers.
trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for &[IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|buffer| buffer.iter().copied()).collect()
    }
}
