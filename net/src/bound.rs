//! Listeners that are bound and belong to no shard yet, so they can go to any shard.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};

use straightline_sched::sim::is_simulated;

use crate::sim::{Bound, Handle};
use crate::socket::has_no_descriptor;

/// A TCP listener that belongs to no shard yet, opened by [`ListenOptions`](crate::ListenOptions).
/// It can go to any thread, or in a simulation to any shard. There
/// [`TcpListener::from_bound`](crate::TcpListener::from_bound) makes a listener of it.
///
/// ```
/// use straightline_net::{ListenOptions, TcpListener, TcpStream};
/// use straightline_sched::{self as sched, Config};
///
/// let bound = ListenOptions::new().bind("127.0.0.1:0".parse().unwrap())?;
/// let address = bound.local_addr()?;
/// let shard = sched::spawn_shard("acceptor", Config::default(), move || {
///     TcpListener::from_bound(bound)?.accept().map(|(_, peer)| peer)
/// })?;
/// let client = sched::run(move || TcpStream::connect(address))?;
/// assert_eq!(shard.join().unwrap()??, client.local_addr()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct BoundTcpListener {
    pub(crate) kind: Kind<net::TcpListener>,
}

/// A Unix listener that belongs to no shard yet; see [`BoundTcpListener`].
///
/// ```
/// use straightline_net::{BoundUnixListener, UnixListener};
///
/// let path = std::env::temp_dir().join(format!("straightline-{}-b.sock", std::process::id()));
/// let bound = BoundUnixListener::bind(&path)?;
/// let listener = UnixListener::from_bound(bound)?; // on any thread
/// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
/// std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct BoundUnixListener {
    pub(crate) kind: Kind<unix::UnixListener>,
}

#[derive(Debug)]
pub(crate) enum Kind<L> {
    System(L),
    Simulated(Bound),
}

impl BoundTcpListener {
    /// The address of the listener, with the real port.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's; if it is simulated and used outside of its simulation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::System(listener) => listener.local_addr(),
            Kind::Simulated(bound) => bound.local_addr(),
        }
    }

    /// Another one for the same socket: both accept from one queue.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's; if it is simulated and used outside of its simulation.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { kind: self.kind.try_clone(net::TcpListener::try_clone)? })
    }

    /// The standard library's listener.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated: it has no descriptor, and is closed.
    pub fn into_std(self) -> io::Result<net::TcpListener> {
        self.kind.into_system()
    }
}

impl BoundUnixListener {
    /// Opens a listener at `path`, which must not exist.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if is_simulated() {
            socket2::SockAddr::unix(path)?; // the error of a path that is too long
            return Ok(Self { kind: Kind::Simulated(Handle::listen_unix(path)?.into_bound()) });
        }
        let listener = unix::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self::from(listener))
    }

    /// The address of the listener.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's; if it is simulated and used outside of its simulation.
    pub fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        match &self.kind {
            Kind::System(listener) => listener.local_addr(),
            Kind::Simulated(bound) => address_of(bound.path()?),
        }
    }

    /// Another one for the same socket: both accept from one queue.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's; if it is simulated and used outside of its simulation.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { kind: self.kind.try_clone(unix::UnixListener::try_clone)? })
    }

    /// The standard library's listener.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated: it has no descriptor, and is closed.
    pub fn into_std(self) -> io::Result<unix::UnixListener> {
        self.kind.into_system()
    }
}

impl<L> Kind<L> {
    fn into_system(self) -> io::Result<L> {
        match self {
            Self::System(listener) => Ok(listener),
            Self::Simulated(_) => {
                let message = "a simulated socket has no descriptor";
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            }
        }
    }

    fn try_clone(&self, clone: impl FnOnce(&L) -> io::Result<L>) -> io::Result<Self> {
        Ok(match self {
            Self::System(listener) => Self::System(clone(listener)?),
            Self::Simulated(bound) => Self::Simulated(bound.try_clone()?),
        })
    }
}

impl From<net::TcpListener> for BoundTcpListener {
    fn from(listener: net::TcpListener) -> Self {
        Self { kind: Kind::System(listener) }
    }
}

impl From<unix::UnixListener> for BoundUnixListener {
    fn from(listener: unix::UnixListener) -> Self {
        Self { kind: Kind::System(listener) }
    }
}

impl AsFd for BoundTcpListener {
    /// # Panics
    ///
    /// If it is simulated: such a listener has no descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::System(listener) => listener.as_fd(),
            Kind::Simulated(_) => has_no_descriptor(),
        }
    }
}

/// The standard library's address of that path; of none if it is `None`.
pub(crate) fn address_of(path: Option<PathBuf>) -> io::Result<unix::SocketAddr> {
    unix::SocketAddr::from_pathname(path.unwrap_or_default())
}
