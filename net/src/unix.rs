//! Unix domain sockets.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use straightline_sched::sim::is_simulated;
use straightline_sched::sync::Ready;
use straightline_sched::{Interest, now, wait_for_armed};

use crate::accept_queue::AcceptQueue;
use crate::bound::{BoundListener, BoundUnixListener, Kind, address_of};
use crate::io::{Io, Reads, impl_stream, impl_timeouts};
use crate::nonblocking::impl_nonblocking;
use crate::sim::Handle;
use crate::socket::Socket;

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
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    queue: AcceptQueue<net::UnixListener>,
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
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Blocking
///
/// Every call that reads or writes is a yield point, except those with `try_`.
///
/// # Cancellation
///
/// As for [`TcpStream`](crate::TcpStream#cancellation).
pub struct UnixStream {
    pub(crate) io: Io<net::UnixStream>,
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

    /// Makes a bound listener a listener of the calling thread, or shard. [`BoundUnixListener`] has
    /// an example.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking; `Unsupported` if it is simulated, and belongs to another
    /// simulation.
    pub fn from_bound(listener: BoundUnixListener) -> io::Result<Self> {
        match listener.kind {
            Kind::System(listener) => Self::from_std(listener),
            Kind::Simulated(bound) => {
                let handle = bound.into_handle()?;
                Ok(Self { queue: AcceptQueue::new(Socket::Simulated(Box::new(handle))) })
            }
        }
    }

    /// The opposite of [`from_bound`](Self::from_bound): it can then go to another shard.
    ///
    /// Not a yield point.
    pub fn into_bound(self) -> BoundUnixListener {
        let kind = match self.queue.into_inner() {
            Socket::System(listener) => Kind::System(listener),
            Socket::Simulated(handle) => Kind::Simulated(handle.into_bound()),
        };
        BoundUnixListener { kind }
    }

    /// Wraps a listener of the standard library.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { queue: AcceptQueue::new(Socket::System(listener)) })
    }

    /// The standard library's listener, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor. See
    /// [`into_bound`](Self::into_bound).
    #[track_caller]
    pub fn into_std(self) -> net::UnixListener {
        self.queue.into_inner().into_system()
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
    /// The system's error, see [`TcpListener::accept`](crate::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.queue.accept(|| self.try_accept())
    }

    /// Accepts a connection that waits in the queue, without waiting for one; see
    /// [`TcpListener::try_accept`](crate::TcpListener::try_accept).
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the queue is empty; otherwise as [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.queue.try_accept(|listener| match listener {
            Socket::System(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((UnixStream::from_std(stream)?, peer))
            }
            Socket::Simulated(handle) => {
                let stream = UnixStream::simulated(handle.accept_unix()?);
                Ok((stream, address_of(None)?))
            }
        })
    }

    /// Waits until a connection is likely to be in the queue; see
    /// [`TcpListener::wait_readable`](crate::TcpListener::wait_readable).
    ///
    /// # Blocking
    ///
    /// A yield point, unless a connection came since the last wait.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. The edge of a new connection stays noted
    /// for the next wait.
    ///
    /// # Errors
    ///
    /// When the system cannot watch the descriptor, the fiber is unwinding, or the caller is not a
    /// fiber.
    pub fn wait_readable(&self) -> io::Result<()> {
        self.queue.source().wait(Interest::Read)
    }

    /// That an accept would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on: a connection is in the queue.
    ///
    /// Not a yield point; the `select` is one. If other fibers, shards or processes accept from the
    /// same socket, one of them may be quicker: call [`try_accept`](Self::try_accept) then.
    pub fn readable(&self) -> Ready<'_> {
        Ready::to_read(self.queue.source())
    }

    /// The address of the listener.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.queue.source().inner() {
            Socket::System(listener) => listener.local_addr(),
            Socket::Simulated(handle) => address_of(handle.local_path()?),
        }
    }
}

impl From<UnixListener> for BoundListener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener.into_bound())
    }
}

impl AsFd for UnixListener {
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.source().inner().descriptor()
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
    /// The system's error; if the backlog is full, also that the fiber is unwinding, or that the
    /// caller is not a fiber.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let address = socket2::SockAddr::unix(path)?;
        if is_simulated() {
            let attempt = || Handle::connect_unix(path).map(Self::simulated);
            return retry_while_full(attempt);
        }
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        retry_while_full(|| socket.connect(&address))?;
        Self::from_std(socket.into())
    }

    fn simulated(handle: Handle) -> Self {
        Self { io: Io::new(Socket::Simulated(Box::new(handle)), Reads::UnixStream) }
    }

    /// Two streams connected to each other. Not a yield point.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn pair() -> io::Result<(Self, Self)> {
        if is_simulated() {
            let (one, other) = Handle::unix_pair()?;
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
        // A short read proves nothing here: the kernel also ends a read where descriptors were
        // passed.
        Ok(Self { io: Io::new(Socket::System(stream), Reads::UnixStream) })
    }

    /// The standard library's stream, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    #[track_caller]
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
            Socket::Simulated(handle) => address_of(handle.peer_path()?),
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
            Socket::Simulated(handle) => address_of(handle.local_path()?),
        }
    }
}

impl_stream!(UnixStream);
impl_nonblocking!(UnixStream);
impl_timeouts!(UnixStream);

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.io.inner() {
            Socket::System(stream) => stream.fmt(f),
            Socket::Simulated(handle) => handle.fmt(f),
        }
    }
}

fn retry_while_full<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            // A full backlog raises no readiness, so the fiber can only wait for some time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // An error in a fiber that unwinds, and outside of fibers.
                wait_for_armed(now().checked_add(BACKLOG_RETRY))?;
            }
            result => return result,
        }
    }
}

/// How long a connect waits for room in the listener's backlog before it tries again. Arbitrary.
const BACKLOG_RETRY: std::time::Duration = std::time::Duration::from_millis(1);
