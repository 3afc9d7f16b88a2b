//! UDP sockets.

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use straightline_sched::sim::is_simulated;
use straightline_sched::sync::Ready;

use crate::bind_error::{Protocol, cannot_bind};
use crate::io::{Io, Reads, impl_timeouts};
use crate::lookup::{ToSocketAddrs, with_first};
use crate::sim::{Handle, not_simulated};
use crate::socket::{Socket, recv, recv_peek, send};

/// A UDP socket, as [`std::net::UdpSocket`].
///
/// ```
/// use straightline_net::UdpSocket;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let address = server.local_addr()?;
///     let echo = sched::spawn(move || {
///         let mut buffer = [0; 1_500];
///         let (count, from) = server.recv_from(&mut buffer)?;
///         server.send_to(&buffer[..count], from)
///     });
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(address)?;
///     client.send(b"straight")?;
///     let mut answer = [0; 1_500];
///     assert_eq!(client.recv(&mut answer)?, 8);
///     assert_eq!(echo.join().unwrap()?, 8);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Blocking
///
/// Every call that sends or receives is a yield point, except those with `try_`: it waits while
/// there is no datagram, or no room, and lets other fibers run now and then even if there is.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds before anything is sent or received: a
/// datagram that has arrived, or arrives afterwards, stays for the next receiver.
pub struct UdpSocket {
    io: Io<net::UdpSocket>,
}

impl UdpSocket {
    /// Opens a socket at an address, or at the first address of a name that can be bound: see
    /// [`ToSocketAddrs`].
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
        with_first(&address, |address| {
            if is_simulated() {
                let handle = Handle::bind_udp(address);
                let handle = handle.map_err(|error| cannot_bind(Protocol::Udp, address, error))?;
                return Ok(Self {
                    io: Io::new(Socket::Simulated(Box::new(handle)), Reads::Datagrams),
                });
            }
            let socket = net::UdpSocket::bind(address);
            Self::from_std(socket.map_err(|error| cannot_bind(Protocol::Udp, address, error))?)
        })
    }

    /// Wraps a socket of the standard library.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_std(socket: net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // A short read is a short datagram, and proves nothing.
        Ok(Self { io: Io::new(Socket::System(socket), Reads::Datagrams) })
    }

    /// The standard library's socket, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    #[track_caller]
    pub fn into_std(self) -> net::UdpSocket {
        self.io.into_inner().into_system()
    }

    /// Sets the peer of [`send`](Self::send) and [`recv`](Self::recv): the first address of
    /// `target` that the system accepts. No packet is sent.
    ///
    /// # Blocking
    ///
    /// A yield point if `target` is a name, which is resolved as by
    /// [`lookup_host`](crate::lookup_host).
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds, and the peer stays as it was.
    ///
    /// # Errors
    ///
    /// The resolver's error, or the system's error for the last address.
    pub fn connect(&self, target: impl ToSocketAddrs) -> io::Result<()> {
        with_first(&target, |address| match self.io.inner() {
            Socket::System(socket) => socket.connect(address),
            Socket::Simulated(handle) => handle.connect_udp(address),
        })
    }

    /// Sends one datagram to `target`'s first address.
    ///
    /// # Blocking
    ///
    /// A yield point. Each call resolves a name anew; for many datagrams resolve it once with
    /// [`lookup_host`](crate::lookup_host).
    ///
    /// # Cancellation
    ///
    /// As for [the socket](Self#cancellation).
    ///
    /// # Errors
    ///
    /// The error of the resolver or the system; `TimedOut` past the write timeout.
    pub fn send_to(&self, bytes: &[u8], target: impl ToSocketAddrs) -> io::Result<usize> {
        let address = target.to_target()?.resolve()?.next();
        let address = address.ok_or(io::ErrorKind::InvalidInput)?;
        self.io.write(|socket| send_to(socket, bytes, address))
    }

    /// Receives one datagram, and returns its sender. Bytes that do not fit into `buffer` are lost.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As for [the socket](Self#cancellation).
    ///
    /// # Errors
    ///
    /// The system's error; `TimedOut` past the read timeout; `InvalidInput`, as std's, if the
    /// socket was shut down and no datagram is left.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        with_sender(|socket| recv_from(socket, buffer), |read| self.io.read(0, read))
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays for the next call.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds; the datagram stays.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let receive = |socket: &Socket<net::UdpSocket>| match socket {
            Socket::System(socket) => socket.peek_from(buffer),
            Socket::Simulated(handle) => handle.peek_from(buffer),
        };
        with_sender(receive, |read| self.io.read(0, read))
    }

    /// Sends one datagram to the peer that [`connect`](Self::connect) set.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As for [the socket](Self#cancellation).
    ///
    /// # Errors
    ///
    /// The system's error; `TimedOut` past the write timeout.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.write(|socket| send(socket, bytes))
    }

    /// Receives one datagram of the peer that [`connect`](Self::connect) set. Bytes that do not fit
    /// into `buffer` are lost. Returns 0 also if the socket was shut down, through another
    /// descriptor of it, and no datagram is left.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As for [the socket](Self#cancellation).
    ///
    /// # Errors
    ///
    /// The system's error, `ConnectionRefused` when no socket was at the address of an earlier
    /// datagram; `TimedOut` past the read timeout.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read(buffer.len(), |socket| recv(socket, buffer))
    }

    /// As [`recv`](Self::recv), but the datagram stays for the next call.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds; the datagram stays.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read(buffer.len(), |socket| recv_peek(socket, buffer))
    }

    /// As [`send_to`](Self::send_to), without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room; otherwise as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, bytes: &[u8], address: SocketAddr) -> io::Result<usize> {
        send_to(self.io.inner(), bytes, address)
    }

    /// As [`recv_from`](Self::recv_from), without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when no datagram has arrived; otherwise as [`recv_from`](Self::recv_from).
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use straightline_net::UdpSocket;
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let socket = UdpSocket::bind("127.0.0.1:0")?;
    ///     let error = socket.try_recv_from(&mut [0; 16]).unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::WouldBlock);
    ///     socket.try_send_to(b"to itself", socket.local_addr()?)?;
    ///     socket.wait_readable()?; // may end early
    ///     assert_eq!(socket.recv_from(&mut [0; 16])?, (9, socket.local_addr()?));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        with_sender(|socket| recv_from(socket, buffer), |read| self.io.try_read(0, read))
    }

    /// As [`send`](Self::send), without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room; otherwise as [`send`](Self::send).
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        send(self.io.inner(), bytes)
    }

    /// As [`recv`](Self::recv), without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when no datagram has arrived; otherwise as [`recv`](Self::recv).
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.try_read(0, |socket| recv(socket, buffer))
    }

    /// Waits until a datagram is likely to have arrived, or the fiber is woken for another reason.
    /// The read timeout does not apply.
    ///
    /// # Blocking
    ///
    /// A yield point, unless a datagram came since the last wait. Call it after a try that would
    /// have blocked.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds. It has taken nothing, and the edge
    /// of a new datagram stays noted for the next wait.
    ///
    /// # Errors
    ///
    /// When the system cannot watch the descriptor, the fiber is unwinding, or the caller is not a
    /// fiber.
    pub fn wait_readable(&self) -> io::Result<()> {
        self.io.wait_readable()
    }

    /// That a receive would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on.
    ///
    /// Not a yield point; the `select` is one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::UdpSocket;
    /// use straightline_sched::{self as sched, sync::{after, select}};
    ///
    /// sched::run(|| {
    ///     let socket = UdpSocket::bind("127.0.0.1:0")?;
    ///     let wait = || after(Duration::from_millis(5));
    ///     assert_eq!(select(&[&socket.readable(), &wait()]), Ok(1)); // there is no datagram
    ///     socket.send_to(b"to itself", socket.local_addr()?)?;
    ///     assert_eq!(select(&[&socket.readable(), &after(Duration::MAX)]), Ok(0));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn readable(&self) -> Ready<'_> {
        Ready::to_read(self.io.source())
    }

    /// That a send would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on.
    ///
    /// Not a yield point; the `select` is one.
    pub fn writable(&self) -> Ready<'_> {
        Ready::to_write(self.io.source())
    }
}

/// A call that receives one datagram, and returns its size.
type Receive<'r> = dyn FnMut(&Socket<net::UdpSocket>) -> io::Result<usize> + 'r;

/// Receives with `receive`, as `read` does, and keeps the sender's address.
fn with_sender(
    mut receive: impl FnMut(&Socket<net::UdpSocket>) -> io::Result<(usize, SocketAddr)>,
    read: impl FnOnce(&mut Receive<'_>) -> io::Result<usize>,
) -> io::Result<(usize, SocketAddr)> {
    let mut from = None;
    let count = read(&mut |socket| {
        let (count, address) = receive(socket)?;
        from = Some(address);
        Ok(count)
    })?;
    // The end of a socket that was shut down has no sender; std has this error for it.
    let from = from.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the socket was shut down, and has no sender")
    })?;
    Ok((count, from))
}

fn send_to(
    socket: &Socket<net::UdpSocket>,
    bytes: &[u8],
    address: SocketAddr,
) -> io::Result<usize> {
    match socket {
        Socket::System(socket) => socket.send_to(bytes, address),
        Socket::Simulated(handle) => handle.send_to(bytes, address),
    }
}

fn recv_from(
    socket: &Socket<net::UdpSocket>,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Socket::System(socket) => socket.recv_from(buffer),
        Socket::Simulated(handle) => handle.recv_from(buffer),
    }
}

/// Methods that std's socket has under the same name; behind `or`, the simulated one's answer.
macro_rules! as_std {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, or $simulated:expr;)*) => {
        impl UdpSocket {
            $(
                #[doc = concat!("As [`std::net::UdpSocket::", stringify!($name), "`].")]
                ///
                /// Not a yield point.
                pub fn $name(&self, $($argument: $type),*) -> io::Result<$result> {
                    match self.io.inner() {
                        Socket::System(socket) => socket.$name($($argument),*),
                        Socket::Simulated(handle) => ($simulated)(handle $(, $argument)*),
                    }
                }
            )*
        }
    };
}

as_std! {
    local_addr() -> SocketAddr, or Handle::local_addr;
    peer_addr() -> SocketAddr, or Handle::peer_addr;
    take_error() -> Option<io::Error>, or Handle::take_error;
    broadcast() -> bool, or |_| Ok(false);
    set_broadcast(broadcast: bool) -> (), or |_, broadcast| refuse_broadcast(broadcast);
    ttl() -> u32, or Handle::ttl;
    set_ttl(ttl: u32) -> (), or Handle::set_ttl;
    multicast_loop_v4() -> bool, or no_group;
    set_multicast_loop_v4(looped: bool) -> (), or |handle, _| no_group(handle);
    multicast_ttl_v4() -> u32, or no_group;
    set_multicast_ttl_v4(ttl: u32) -> (), or |handle, _| no_group(handle);
    multicast_loop_v6() -> bool, or no_group;
    set_multicast_loop_v6(looped: bool) -> (), or |handle, _| no_group(handle);
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> (),
        or |handle, _, _| no_group(handle);
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> (), or |handle, _, _| no_group(handle);
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> (),
        or |handle, _, _| no_group(handle);
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> (), or |handle, _, _| no_group(handle);
}

fn no_group<T>(_: &Handle) -> io::Result<T> {
    Err(not_simulated())
}

fn refuse_broadcast(broadcast: bool) -> io::Result<()> {
    if broadcast { Err(not_simulated()) } else { Ok(()) }
}

impl_timeouts!(UdpSocket);

impl AsFd for UdpSocket {
    /// # Panics
    ///
    /// If it is [simulated](crate::sim): it has no descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.inner().descriptor()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.io.inner() {
            Socket::System(socket) => socket.fmt(f),
            Socket::Simulated(handle) => handle.fmt(f),
        }
    }
}
