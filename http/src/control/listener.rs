//! Listening sockets, before a shard accepts from them.

use std::io;

use straightline_net::{BoundTcpListener, BoundUnixListener, ListenOptions};

use super::socket_file::{self, SocketFile};
use crate::config::Address;

/// An open listening socket from which no shard accepts yet.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(BoundTcpListener),
    Unix(BoundUnixListener),
}

impl Listener {
    /// Another descriptor of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

/// Opens an address once for each shard. Returns the address with its real port, the listeners, and
/// the file of a Unix socket.
pub(crate) fn open_all(
    address: &Address,
    count: usize,
    options: &ListenOptions,
) -> io::Result<(Address, Vec<Listener>, Option<SocketFile>)> {
    match address {
        Address::Tcp(address) => {
            let group = options.bind_group(*address, count)?;
            let local = group[0].local_addr()?;
            Ok((Address::Tcp(local), group.into_iter().map(Listener::Tcp).collect(), None))
        }
        Address::Unix(path) => {
            let (listener, file) = socket_file::claim(path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            let mut group = Vec::with_capacity(count);
            for _ in 1..count {
                group.push(Listener::Unix(listener.try_clone()?));
            }
            group.push(Listener::Unix(listener));
            Ok((address.clone(), group, file))
        }
    }
}
