//! Listeners that are bound and belong to no shard yet, so they can go to any shard.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};

use socket2::{SockRef, Type};
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
/// let bound = ListenOptions::new().bind("127.0.0.1:0")?;
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

/// A listener of either kind that belongs to no shard yet: one that the program has bound, or that
/// it was [started with](crate::inherit). A server takes it
/// (`straightline::ServerBuilder::listener`).
///
/// ```
/// use straightline_net::BoundListener;
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let listener = BoundListener::from(listener);
/// assert!(matches!(listener, BoundListener::Tcp(_)));
/// listener.check()?;
///
/// // From a descriptor, whose kind is found out.
/// let pair = std::os::unix::net::UnixStream::pair()?;
/// let error = BoundListener::try_from(std::os::fd::OwnedFd::from(pair.0)).unwrap_err();
/// assert!(error.to_string().contains("it is a connection"), "{error}");
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BoundListener {
    /// On an IP address.
    Tcp(BoundTcpListener),
    /// On a path, on an abstract name, or without a name.
    Unix(BoundUnixListener),
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

impl BoundListener {
    /// Another one for the same socket: both accept from one queue. Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's; if it is simulated and used outside of its simulation.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    /// Checks that the socket is what its type says: a TCP or a Unix stream socket that listens.
    /// One that the standard library or this crate has bound always is; a descriptor from elsewhere
    /// may be anything. Not a yield point.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, with the descriptor's number and with what the socket is instead.
    pub fn check(&self) -> io::Result<()> {
        let (descriptor, is_unix) = match self {
            Self::Tcp(BoundTcpListener { kind: Kind::System(listener) }) => {
                (listener.as_fd(), false)
            }
            Self::Unix(BoundUnixListener { kind: Kind::System(listener) }) => {
                (listener.as_fd(), true)
            }
            _ => return Ok(()), // the simulation makes listeners only
        };
        match family_of_listener(descriptor)? {
            Family::Unix if is_unix => Ok(()),
            Family::Ip if !is_unix => Ok(()),
            Family::Unix => Err(not_a_listener(descriptor, "it is a Unix socket, and not TCP")),
            Family::Ip => Err(not_a_listener(descriptor, "it is a TCP socket, and not a Unix one")),
        }
    }
}

impl TryFrom<OwnedFd> for BoundListener {
    type Error = io::Error;

    /// The listener behind a descriptor.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the descriptor is not a TCP or Unix stream socket that listens, with what
    /// it is instead. It is closed then.
    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        Ok(match family_of_listener(descriptor.as_fd())? {
            Family::Ip => Self::from(net::TcpListener::from(descriptor)),
            Family::Unix => Self::from(unix::UnixListener::from(descriptor)),
        })
    }
}

impl From<BoundTcpListener> for BoundListener {
    fn from(listener: BoundTcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<BoundUnixListener> for BoundListener {
    fn from(listener: BoundUnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl From<net::TcpListener> for BoundListener {
    fn from(listener: net::TcpListener) -> Self {
        Self::Tcp(listener.into())
    }
}

impl From<unix::UnixListener> for BoundListener {
    fn from(listener: unix::UnixListener) -> Self {
        Self::Unix(listener.into())
    }
}

enum Family {
    Ip,
    Unix,
}

/// The family of a stream socket that listens.
fn family_of_listener(descriptor: BorrowedFd<'_>) -> io::Result<Family> {
    let socket = SockRef::from(&descriptor);
    let is_not = |what: &str| not_a_listener(descriptor, what);
    // A descriptor that is not a socket fails at the first call.
    let kind = socket.r#type().map_err(|error| is_not(&format!("it is not a socket: {error}")))?;
    let address = socket.local_addr()?;
    let family = match (address.as_socket(), address.is_unix()) {
        (Some(_), _) => Family::Ip,
        (None, true) => Family::Unix,
        (None, false) => return Err(is_not("its address is neither of IP nor of a Unix socket")),
    };
    if kind != Type::STREAM {
        return Err(is_not("it is not a stream socket, but one for datagrams or packets"));
    }
    if is_listening(&socket)? {
        return Ok(family);
    }
    Err(if socket.peer_addr().is_ok() {
        is_not("it is a connection")
    } else {
        is_not("it does not listen: nothing has called `listen` on it, or it was shut down")
    })
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// Darwin does not tell. A socket that listens has no peer; one that has none and does not listen
/// is found out at the first accept.
#[cfg(target_os = "macos")]
fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    match socket.peer_addr() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(true),
        Err(error) => Err(error),
    }
}

fn not_a_listener(descriptor: BorrowedFd<'_>, what: &str) -> io::Error {
    let message = format!("descriptor {} is not a listener: {what}", descriptor.as_raw_fd());
    io::Error::new(io::ErrorKind::InvalidInput, message)
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
