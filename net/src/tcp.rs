//! TCP listeners and streams.

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::SockRef;
use straightline_sched::{Interest, now, sync::Ready};

use crate::accept_queue::AcceptQueue;
use crate::bound::{BoundListener, BoundTcpListener, Kind};
use crate::connect;
use crate::io::{Io, impl_stream, impl_timeouts};
use crate::listen::{ListenOptions, drop_new_handshakes};
use crate::lookup::ToSocketAddrs;
use crate::nonblocking::impl_nonblocking;
use crate::socket::{Socket, recv_peek};
use crate::timeouts::checked_timeout;

/// A TCP server socket, as [`std::net::TcpListener`].
///
/// ```
/// use std::io::{ErrorKind, Write};
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
///     let address = listener.local_addr()?;
///     let client = sched::spawn(move || TcpStream::connect(address)?.write_all(b"hello"));
///     let (_stream, peer) = listener.accept()?; // the client runs meanwhile
///     assert!(peer.ip().is_loopback());
///     client.join().unwrap()
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    queue: AcceptQueue<net::TcpListener>,
}

/// A TCP connection, as [`std::net::TcpStream`].
///
/// Dropping it closes the connection.
///
/// There is no `try_clone`: two descriptors of one connection would each take half of its events.
/// Reading and writing work on shared references, so with an [`Rc`](std::rc::Rc) one fiber can read
/// while another one writes.
///
/// ```
/// use std::io::{ErrorKind, Read};
/// use std::time::Duration;
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?)?;
///     client.set_read_timeout(Some(Duration::from_millis(5)))?;
///     let error = client.read(&mut [0; 8]).unwrap_err(); // the peer writes nothing
///     assert_eq!(error.kind(), ErrorKind::TimedOut);
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
/// A fiber that is cancelled or past its deadline unwinds before anything is read or written: data
/// that has arrived, or arrives afterwards, stays for the next reader. Close a stream whose
/// `write_all` or `read_exact` has unwound: those are several operations.
pub struct TcpStream {
    pub(crate) io: Io<net::TcpStream>,
}

impl TcpListener {
    /// Opens a listener at an address, or at the first address of a name that can be bound: see
    /// [`ToSocketAddrs`]. As with std, `[::]` takes clients of IPv4 as well, unless the system is
    /// set otherwise (`net.ipv6.bindv6only`).
    ///
    /// # Blocking
    ///
    /// Not a yield point, except if `address` is a name, which is resolved as by
    /// [`lookup_host`](crate::lookup_host).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the text is not an address; the resolver's error; otherwise the system's
    /// error, with the address in the message, and with what usually causes it.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::from_bound(ListenOptions::new().bind(address)?)
    }

    /// Makes a bound listener a listener of the calling thread, or shard. [`BoundTcpListener`] has
    /// an example.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking; `Unsupported` if it is simulated, and belongs to another
    /// simulation.
    pub fn from_bound(listener: BoundTcpListener) -> io::Result<Self> {
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
    pub fn into_bound(self) -> BoundTcpListener {
        let kind = match self.queue.into_inner() {
            Socket::System(listener) => Kind::System(listener),
            Socket::Simulated(handle) => Kind::Simulated(handle.into_bound()),
        };
        BoundTcpListener { kind }
    }

    /// Wraps a listener of the standard library.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
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
    pub fn into_std(self) -> net::TcpListener {
        self.queue.into_inner().into_system()
    }

    /// Waits for a connection.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits while no connection is in the queue, and lets other fibers run now
    /// and then even if one is.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline is raised before a connection is accepted: connections that wait, or
    /// come later, stay for the next call.
    ///
    /// # Errors
    ///
    /// The system's error: `ConnectionAborted` concerns one connection only; `EMFILE` and `ENFILE`
    /// mean that descriptors ran out, and repeat until some are closed; `InvalidInput` means that
    /// the socket was shut down, through another descriptor of it, and listens no more. When it
    /// would have to wait: that the fiber is unwinding, or that the caller is not a fiber.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.queue.accept(|| self.try_accept())
    }

    /// Accepts a connection that waits in the queue, without waiting for one.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the queue is empty; wait with [`wait_readable`](Self::wait_readable) then.
    /// Otherwise as [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.queue.try_accept(|listener| match listener {
            Socket::System(listener) => {
                let (stream, peer) = accept_nonblocking(listener)?;
                Ok((Socket::System(stream), peer))
            }
            Socket::Simulated(handle) => {
                let (stream, peer) = handle.accept_tcp()?;
                Ok((Socket::Simulated(Box::new(stream)), peer))
            }
        })?;
        Ok((TcpStream::wrap(stream), peer))
    }

    /// Waits until a connection is likely to be in the queue, or the fiber is woken for another
    /// reason.
    ///
    /// # Blocking
    ///
    /// A yield point, unless a connection came since the last wait. Try to accept before.
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
    ///
    /// ```
    /// use std::rc::Rc;
    /// use straightline_net::TcpListener;
    /// use straightline_sched::{self as sched, sync::{Flag, select}};
    ///
    /// sched::run(|| {
    ///     let (listener, stop) = (TcpListener::bind("127.0.0.1:0")?, Rc::new(Flag::new()));
    ///     sched::spawn({
    ///         let stop = Rc::clone(&stop);
    ///         move || stop.set()
    ///     });
    ///     while select(&[&listener.readable(), &*stop]) == Ok(0) {
    ///         let (_stream, _peer) = listener.accept()?; // and so on
    ///     }
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn readable(&self) -> Ready<'_> {
        Ready::to_read(self.queue.source())
    }

    /// Admits no further handshake. From now on only clients whose handshake has begun get into the
    /// queue, and those arrive within their round trip. Accept for that long, and until there is
    /// `WouldBlock`, before the listener is dropped: a client that has not been accepted by then is
    /// reset. A client that begins to connect meanwhile gets no answer. It tries again after a
    /// second, as every TCP does, and then finds the port closed, or another listener of the group.
    ///
    /// On systems other than Linux it does nothing.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// ```
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let _client = TcpStream::connect(listener.local_addr()?)?;
    ///     listener.close_queue()?;
    ///     let mut last = 0;
    ///     while listener.try_accept().is_ok() {
    ///         last += 1;
    ///     }
    ///     assert_eq!(last, 1);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn close_queue(&self) -> io::Result<()> {
        match self.queue.source().inner() {
            Socket::System(listener) => drop_new_handshakes(listener),
            Socket::Simulated(handle) => handle.close_queue(),
        }
    }

    /// The address of the listener, with the real port.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.queue.source().inner() {
            Socket::System(listener) => listener.local_addr(),
            Socket::Simulated(handle) => handle.local_addr(),
        }
    }
}

impl From<TcpListener> for BoundListener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener.into_bound())
    }
}

impl AsFd for TcpListener {
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.source().inner().descriptor()
    }
}

impl TcpStream {
    /// Opens a connection to an address, or to a name and a port: see [`ToSocketAddrs`].
    ///
    /// A name is resolved as by [`lookup_host`](crate::lookup_host). Of several addresses the
    /// quickest wins (RFC 8305, "happy eyeballs"). The families take turns, beginning with that of
    /// the first address. Every 250 ms, or as soon as an attempt has failed, the next address is
    /// tried beside the attempts without an answer. The first connection is kept, and the others
    /// are closed.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds, and every descriptor is closed. A
    /// name that is being resolved then keeps its thread until the resolver gives up, see
    /// [`offload`](straightline_sched::offload).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the text is neither an address nor a name with a port; otherwise the
    /// resolver's error, or the system's error for the last address that was tried.
    ///
    /// ```
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let port = listener.local_addr()?.port();
    ///     let by_name = TcpStream::connect(("localhost", port))?;
    ///     assert_eq!(by_name.peer_addr()?.port(), port);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect(target: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { io: connect::connect(target.to_target()?)? })
    }

    /// Opens a connection to one address, waiting for at most `timeout`.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds, and the descriptor is closed.
    ///
    /// # Errors
    ///
    /// `TimedOut`; `InvalidInput` if the timeout is zero; otherwise the system's error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let address = listener.local_addr()?;
    ///     TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(drop)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        checked_timeout(Some(timeout))?;
        let end = now().checked_add(timeout);
        Ok(Self { io: connect::connect_one(*address, end)? })
    }

    /// Wraps a stream of the standard library.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::wrap(Socket::System(stream)))
    }

    /// The standard library's stream, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    #[track_caller]
    pub fn into_std(self) -> net::TcpStream {
        self.io.into_inner().into_system()
    }

    pub(crate) fn wrap(stream: Socket<net::TcpStream>) -> Self {
        Self { io: Io::of_tcp(stream) }
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.io.inner() {
            Socket::System(stream) => stream.peer_addr(),
            Socket::Simulated(handle) => handle.peer_addr(),
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
            Socket::Simulated(handle) => handle.local_addr(),
        }
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`). The streams that a listener of this
    /// crate accepted do that.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self.io.inner() {
            Socket::System(stream) => stream.set_nodelay(nodelay),
            Socket::Simulated(handle) => handle.set_nodelay(nodelay),
        }
    }

    /// The value that [`set_nodelay`](Self::set_nodelay) was given.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn nodelay(&self) -> io::Result<bool> {
        match self.io.inner() {
            Socket::System(stream) => stream.nodelay(),
            Socket::Simulated(handle) => handle.nodelay(),
        }
    }

    /// Makes the close of this stream reset the connection (`SO_LINGER` of zero): the peer's next
    /// read fails, and data that it has not received is lost. For a transfer that must not look
    /// complete.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?)?;
    ///     let (server, _) = listener.accept()?;
    ///     server.set_zero_linger()?;
    ///     drop(server);
    ///     assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        match self.io.inner() {
            Socket::System(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Socket::Simulated(handle) => handle.set_zero_linger(),
        }
    }

    /// Ends the connection at once: the peer gets a reset, and data that has not been sent is lost.
    /// The stream itself stays, and its reads and writes are errors. For a connection that another
    /// fiber owns and does not end.
    ///
    /// On systems other than Linux there is no such call: there it shuts down both directions, and
    /// the reset comes when the stream is closed.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?)?;
    ///     let (server, _) = listener.accept()?;
    ///     server.reset()?;
    ///     # #[cfg(target_os = "linux")]
    ///     assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset(&self) -> io::Result<()> {
        match self.io.inner() {
            #[cfg(target_os = "linux")]
            Socket::System(stream) => Ok(rustix::net::connect_unspec(stream)?),
            #[cfg(any(target_os = "macos", target_os = "freebsd"))]
            Socket::System(_) => {
                self.set_zero_linger()?;
                self.shutdown(net::Shutdown::Both)
            }
            Socket::Simulated(handle) => handle.reset(),
        }
    }

    /// Reads without consuming: the next read returns the same bytes.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds; data that has arrived stays.
    ///
    /// # Errors
    ///
    /// As a read.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use straightline_net::{TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?)?;
    ///     client.write_all(b"GET")?;
    ///     let (mut stream, mut buffer) = (listener.accept()?.0, [0; 3]);
    ///     assert_eq!(stream.peek(&mut buffer[..1])?, 1);
    ///     stream.read_exact(&mut buffer)?;
    ///     assert_eq!(&buffer, b"GET");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // A peek proves nothing about drained: its bytes are still there, whatever their count.
        self.io.read(0, |stream| recv_peek(stream, buffer))
    }
}

impl_stream!(TcpStream);
impl_nonblocking!(TcpStream);
impl_timeouts!(TcpStream);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.io.inner() {
            Socket::System(stream) => stream.fmt(f),
            Socket::Simulated(handle) => handle.fmt(f),
        }
    }
}

/// One system call for a stream that is non-blocking already.
#[cfg(target_os = "linux")]
fn accept_nonblocking(listener: &net::TcpListener) -> io::Result<(net::TcpStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let stream = net::TcpStream::from(stream);
    match peer {
        Some(peer) => Ok((stream, peer)),
        None => stream.peer_addr().map(|peer| (stream, peer)),
    }
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
fn accept_nonblocking(listener: &net::TcpListener) -> io::Result<(net::TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}
