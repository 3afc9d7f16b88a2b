//! Listening sockets, before a shard accepts from them.

use std::io;
use std::path::PathBuf;

use straightline_net::inherit::{self, Inherited};
use straightline_net::{BoundListener, ListenOptions};

use super::socket_file::{self, SocketFile};
use crate::config::Address;

/// A listening socket from which no shard accepts yet.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: BoundListener,
    /// The socket was open before the server: another process may accept from it too, and goes on
    /// when this server ends.
    pub(crate) is_shared: bool,
}

impl Listener {
    /// Another descriptor of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, is_shared: self.is_shared })
    }
}

/// Where a server accepts: an address to open, or a listener that is open.
#[derive(Debug)]
pub(crate) enum Port {
    Closed(Address),
    Open(BoundListener),
}

/// The ports of a server, each opened once for each shard.
pub(crate) struct OpenPorts {
    /// With the real port numbers.
    pub(crate) local: Vec<Address>,
    /// The listeners of each shard.
    pub(crate) shards: Vec<Vec<Listener>>,
    /// The files of Unix sockets that the server removes.
    pub(crate) files: Vec<SocketFile>,
}

/// A port, opened once for each shard.
struct OpenPort {
    address: Address,
    listeners: Vec<Listener>,
    file: Option<SocketFile>,
}

/// Opens all ports once for each of `count` shards.
pub(crate) fn open_all(
    ports: Vec<io::Result<Port>>,
    count: usize,
    options: &ListenOptions,
) -> io::Result<OpenPorts> {
    if ports.is_empty() {
        let message = "no address to listen on: call `bind`, `listener` or `inherited_listeners`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut shards: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
    let (mut local, mut files) = (Vec::new(), Vec::new());
    for port in ports {
        let OpenPort { address, listeners, file } = port?.open(count, options)?;
        local.push(address);
        files.extend(file);
        for (shard, listener) in shards.iter_mut().zip(listeners) {
            shard.push(listener);
        }
    }
    Ok(OpenPorts { local, shards, files })
}

impl Port {
    /// The listeners that this process was started with; an error if there are none.
    pub(crate) fn inherited() -> Vec<io::Result<Self>> {
        Self::inherited_if_any().unwrap_or_else(|| {
            let message = format!("no listeners were inherited: {}", inherit::why_none());
            vec![Err(io::Error::new(io::ErrorKind::NotFound, message))]
        })
    }

    /// The listeners that this process was started with, if there are any.
    pub(crate) fn inherited_if_any() -> Option<Vec<io::Result<Self>>> {
        match inherit::listeners() {
            Ok(listeners) if listeners.is_empty() => None,
            Ok(listeners) => {
                let open = |inherited: Inherited| Ok(Self::Open(inherited.listener));
                Some(listeners.into_iter().map(open).collect())
            }
            Err(error) => Some(vec![Err(error)]),
        }
    }

    /// Opens it once for each of `count` shards.
    fn open(self, count: usize, options: &ListenOptions) -> io::Result<OpenPort> {
        match self {
            Self::Closed(Address::Tcp(address)) => {
                let group = options.bind_group(address, count)?;
                let address = Address::Tcp(group[0].local_addr()?);
                let listeners = group.into_iter().map(|listener| own(listener.into())).collect();
                Ok(OpenPort { address, listeners, file: None })
            }
            Self::Closed(Address::Unix(path)) => {
                let (listener, file) = socket_file::claim(&path).map_err(|error| {
                    let address = path.display();
                    io::Error::new(
                        error.kind(),
                        format!("cannot listen on unix:{address}: {error}"),
                    )
                })?;
                let listeners = clones(own(listener.into()), count)?;
                Ok(OpenPort { address: Address::Unix(path), listeners, file })
            }
            Self::Open(socket) => {
                socket.check()?;
                let address = address_of(&socket)?;
                if let BoundListener::Tcp(listener) = &socket {
                    options.apply(listener)?;
                }
                let listeners = clones(Listener { socket, is_shared: true }, count)?;
                Ok(OpenPort { address, listeners, file: None })
            }
        }
    }
}

fn own(socket: BoundListener) -> Listener {
    Listener { socket, is_shared: false }
}

/// `count` descriptors of one socket.
fn clones(listener: Listener, count: usize) -> io::Result<Vec<Listener>> {
    let mut group = Vec::with_capacity(count);
    for _ in 1..count {
        group.push(listener.try_clone()?);
    }
    group.push(listener);
    Ok(group)
}

fn address_of(socket: &BoundListener) -> io::Result<Address> {
    match socket {
        BoundListener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
        BoundListener::Unix(listener) => {
            let address = listener.local_addr()?;
            // An address without a path is only shown: `"name" (abstract)`, `(unnamed)`.
            let shown = || PathBuf::from(format!("{address:?}"));
            Ok(Address::Unix(address.as_pathname().map_or_else(shown, PathBuf::from)))
        }
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "a listener of an unknown kind")),
    }
}
