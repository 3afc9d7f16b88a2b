//! Unix domain sockets.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use straightline_sched::{Interest, Source, sim};

use crate::io::{Io, accept, impl_stream, impl_timeouts};
use crate::sim::{BoundListener, EndHandle, ListenerHandle};
use crate::socket::{Socket, Stream};

/// A Unix domain server socket, as [`std::os::unix::net::UnixListener`].
///
/// ```
/// use std::io::Write;
/// use straightline_net::{UnixListener, UnixStream};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let path = std::env::temp_dir().join(format!("straightline-{}.sock", std::process::id()));
///     let listener = UnixListener::bind(&path)?;
///     let client = sched::spawn({
///         let path = path.clone();
///         move || UnixStream::connect(path)?.write_all(b"hello")
///     });
///     let (stream, _peer) = listener.accept()?; // the client runs meanwhile
///     assert_eq!(stream.local_addr()?.as_pathname(), Some(&*path));
///     std::fs::remove_file(path)?;
///     client.join().unwrap()
/// })??;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    source: Source<Socket<net::UnixListener, ListenerHandle>>,
}

/// A Unix domain connection, as [`std::os::unix::net::UnixStream`].
///
/// ```
/// use std::io::{Read, Write};
/// use straightline_net::UnixStream;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (mut near, mut far) = UnixStream::pair()?;
///     let reader = sched::spawn(move || {
///         let mut text = String::new();
///         far.read_to_string(&mut text).map(|_| text)
///     });
///     near.write_all(b"line")?;
///     drop(near);
///     assert_eq!(reader.join().unwrap()?, "line");
///     std::io::Result::Ok(())
/// })??;
/// # std::io::Result::Ok(())
/// ```
///
/// # Blocking
///
/// Every call that reads or writes is a yield point, those with `try_` excepted.
///
/// # Cancellation
///
/// As for [`TcpStream`](crate::TcpStream#cancellation).
pub struct UnixStream {
    pub(crate) io: Io<Stream<net::UnixStream>>,
}

/// A Unix listener that is open, and belongs to no shard yet: it can go to any thread, where
/// [`UnixListener::from_bound`] takes it. Several shards can share one.
///
/// ```
/// use straightline_net::{BoundUnixListener, UnixListener};
/// use straightline_sched as sched;
///
/// let path = std::env::temp_dir().join(format!("straightline-{}-bound.sock", std::process::id()));
/// let one = BoundUnixListener::bind(&path)?;
/// let other = one.try_clone()?;
/// for bound in [one, other] {
///     let serve = move || sched::run(|| UnixListener::from_bound(bound).map(drop));
///     std::thread::spawn(serve).join().unwrap()??;
/// }
/// std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct BoundUnixListener {
    kind: BoundKind,
}

#[derive(Debug)]
enum BoundKind {
    System(net::UnixListener),
    Simulated(BoundListener),
}

impl BoundUnixListener {
    /// Opens a listener at `path`, which must not exist. In a simulation no file is made.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let kind = if sim::is_simulated() {
            BoundKind::Simulated(BoundListener::listen_at(path.as_ref())?)
        } else {
            BoundKind::System(net::UnixListener::bind(path)?)
        };
        Ok(Self { kind })
    }

    /// The same listener for another shard.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        let kind = match &self.kind {
            BoundKind::System(listener) => BoundKind::System(listener.try_clone()?),
            BoundKind::Simulated(listener) => BoundKind::Simulated(listener.share()?),
        };
        Ok(Self { kind })
    }
}

impl From<net::UnixListener> for BoundUnixListener {
    fn from(listener: net::UnixListener) -> Self {
        Self { kind: BoundKind::System(listener) }
    }
}

impl UnixListener {
    /// Opens a listener at `path`, which must not exist.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_bound(BoundUnixListener::bind(path)?)
    }

    /// Makes a listener of the calling shard of one that was opened elsewhere; see
    /// [`BoundUnixListener`].
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking; if it is of a simulation that is over.
    pub fn from_bound(bound: BoundUnixListener) -> io::Result<Self> {
        match bound.kind {
            BoundKind::System(listener) => Self::from_std(listener),
            BoundKind::Simulated(listener) => {
                Ok(Self { source: Source::new(Socket::Simulated(listener.open()?)) })
            }
        }
    }

    /// Wraps a listener of the standard library, from whatever source.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { source: Source::new(Socket::System(listener)) })
    }

    /// The standard library's listener, still non-blocking.
    ///
    /// # Panics
    ///
    /// In a simulation.
    pub fn into_std(self) -> net::UnixListener {
        self.source.into_inner().into_system()
    }

    /// Waits for a connection.
    ///
    /// # Blocking
    ///
    /// A yield point, as [`TcpListener::accept`](crate::TcpListener::accept).
    ///
    /// # Cancellation
    ///
    /// As [`TcpListener::accept`](crate::TcpListener::accept).
    ///
    /// # Errors
    ///
    /// What the system said, see [`TcpListener::accept`](crate::TcpListener::accept).
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        accept(&self.source, || self.try_accept())
    }

    /// Accepts a connection that is there, without waiting; see
    /// [`TcpListener::try_accept`](crate::TcpListener::try_accept).
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nobody is there; otherwise as [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        match self.source.inner() {
            Socket::System(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((UnixStream::from_std(stream)?, peer))
            }
            Socket::Simulated(listener) => {
                let stream = listener.accept()?;
                let peer = stream.end().remote().unix()?;
                Ok((UnixStream::simulated(stream), peer))
            }
        }
    }

    /// Waits until somebody is likely to be there; see
    /// [`TcpListener::wait_readable`](crate::TcpListener::wait_readable).
    ///
    /// # Blocking
    ///
    /// A yield point, unless somebody came since the last wait.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. That somebody came is noted for the next
    /// wait.
    ///
    /// # Errors
    ///
    /// When the system cannot watch the descriptor, or the fiber is unwinding.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    pub fn wait_readable(&self) -> io::Result<()> {
        self.source.wait(Interest::Read)
    }

    /// The address that is listened on.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.source.inner() {
            Socket::System(listener) => listener.local_addr(),
            Socket::Simulated(listener) => listener.listener().name.unix(),
        }
    }
}

/// Panics in a simulation, which has no descriptors.
impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.inner().descriptor()
    }
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Blocking
    ///
    /// A yield point when the listener's backlog is full: it tries again every millisecond.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds, and the descriptor is closed.
    ///
    /// # Errors
    ///
    /// What the system said; `WouldBlock` if the backlog is full and the fiber is unwinding.
    ///
    /// # Panics
    ///
    /// Outside of a fiber, when it has to wait.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        if sim::is_simulated() {
            let path = path.as_ref();
            return retry(|| EndHandle::connect_to(path).map(Self::simulated));
        }
        let address = socket2::SockAddr::unix(path)?;
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        retry(|| socket.connect(&address))?;
        Self::from_std(socket.into())
    }

    /// Two streams connected to each other. Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn pair() -> io::Result<(Self, Self)> {
        if sim::is_simulated() {
            let (one, other) = EndHandle::pair()?;
            return Ok((Self::simulated(one), Self::simulated(other)));
        }
        let (one, other) = net::UnixStream::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
    }

    /// Wraps a stream of the standard library.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // A short read proves nothing here: the kernel also stops where descriptors were passed.
        Ok(Self { io: Io::new(Socket::System(stream), false) })
    }

    fn simulated(stream: EndHandle) -> Self {
        Self { io: Io::new(Socket::Simulated(stream), false) }
    }

    /// The standard library's stream, still non-blocking.
    ///
    /// # Panics
    ///
    /// In a simulation.
    pub fn into_std(self) -> net::UnixStream {
        self.io.into_inner().into_system()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.io.inner() {
            Socket::System(stream) => stream.peer_addr(),
            Socket::Simulated(stream) => stream.end().peer_name()?.unix(),
        }
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.io.inner() {
            Socket::System(stream) => stream.local_addr(),
            Socket::Simulated(stream) => stream.end().name().unix(),
        }
    }
}

impl_stream!(UnixStream);
impl_timeouts!(UnixStream);

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.inner().fmt(f)
    }
}

/// Connects, again and again while the listener's backlog is full. That reports no readiness, so
/// there is nothing to wait for but time.
fn retry<T>(mut connect: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match connect() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // A fiber that unwinds does not wait.
                if std::thread::panicking() {
                    return Err(error);
                }
                straightline_sched::sleep(BACKLOG_RETRY);
            }
            result => return result,
        }
    }
}

/// How long a connect waits for room in the listener's backlog before it tries again. Arbitrary.
const BACKLOG_RETRY: std::time::Duration = std::time::Duration::from_millis(1);
