//! Opening TCP listeners, on any thread, for any shard.

use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use straightline_sched::sim;

use crate::bind_error::{Protocol, cannot_bind};
use crate::bound::{BoundTcpListener, Kind};
use crate::lookup::{ToSocketAddrs, with_first};
use crate::sim::{Handle, ListenerOptions};
use straightline_sched::with_fields;

/// How to open a listener, where the defaults of [`TcpListener::bind`](crate::TcpListener::bind)
/// are not enough.
///
/// ```
/// use straightline_net::ListenOptions;
///
/// let shards = ListenOptions::new().backlog(1024).bind_group("127.0.0.1:0", 2)?;
/// assert_eq!(shards[0].local_addr()?, shards[1].local_addr()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `bind`"]
pub struct ListenOptions {
    backlog: i32,
    nodelay: bool,
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    notsent_lowat: Option<usize>,
    keepalive: Option<Keepalive>,
}

/// When the kernel asks a silent peer whether it is still there (`SO_KEEPALIVE`), and when the peer
/// counts as gone: with the defaults after two minutes. Each read and write then fails with
/// `TimedOut`.
///
/// ```
/// use std::time::Duration;
/// use straightline_net::{Keepalive, ListenOptions};
///
/// let keepalive = Keepalive::default().with_idle(Duration::from_secs(15));
/// ListenOptions::new().keepalive(Some(keepalive)).bind("127.0.0.1:0")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// How long the peer must be silent before the first question (`TCP_KEEPIDLE`), in whole
    /// seconds. Default: 60 seconds.
    pub idle: Duration,
    /// The time between two questions (`TCP_KEEPINTVL`), in whole seconds. Default: 15 seconds.
    pub interval: Duration,
    /// How many questions without an answer end the connection (`TCP_KEEPCNT`). Default: 4.
    pub probes: u32,
}

with_fields! {
    Keepalive {
        with_idle: idle: Duration,
        with_interval: interval: Duration,
        with_probes: probes: u32,
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(15), probes: 4 }
    }
}

impl ListenOptions {
    /// The defaults: a backlog of 4,096, and `TCP_NODELAY` on accepted connections; the system's
    /// defaults for the rest.
    pub fn new() -> Self {
        Self {
            backlog: 4096,
            nodelay: true,
            send_buffer: None,
            receive_buffer: None,
            notsent_lowat: None,
            keepalive: None,
        }
    }

    /// How many connections may wait in the kernel's accept queue; the system's own limit
    /// (`net.core.somaxconn`) applies too.
    pub fn backlog(mut self, connections: i32) -> Self {
        self.backlog = connections;
        self
    }

    /// Whether small writes on accepted connections leave at once (`TCP_NODELAY`). The option is
    /// set once, on the listener: accepted sockets inherit it.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// How many written bytes an accepted connection buffers until the peer has acknowledged them
    /// (`SO_SNDBUF`; Linux takes twice that, and at most `net.core.wmem_max`). `None`, the default:
    /// the buffer grows with the connection, up to the third number of `net.ipv4.tcp_wmem`.
    ///
    /// Set once, on the listener, as all options here: accepted sockets inherit them.
    pub fn send_buffer(mut self, bytes: Option<usize>) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// How many received bytes an accepted connection buffers until they are read (`SO_RCVBUF`;
    /// Linux takes twice that, and at most `net.core.rmem_max`). `None`, the default: the buffer
    /// grows, up to the third number of `net.ipv4.tcp_rmem`.
    pub fn receive_buffer(mut self, bytes: Option<usize>) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// How many written bytes of an accepted connection may wait to be sent: beyond that a write
    /// waits, and goes on when half of them are left (`TCP_NOTSENT_LOWAT`). It bounds the memory
    /// for a peer that reads nothing, and a writer is told of room while a slow peer reads; without
    /// it only when a third of the send buffer is free, which may be megabytes. `None`, the
    /// default: the value of `net.ipv4.tcp_notsent_lowat`, usually no bound. On systems other than
    /// Linux the option does not exist, and this does nothing.
    ///
    /// ```
    /// use straightline_net::{ListenOptions, TcpListener, TcpStream};
    /// use straightline_sched as sched;
    ///
    /// let options = ListenOptions::new().notsent_lowat(Some(16 << 10));
    /// let bound = options.bind("127.0.0.1:0")?;
    /// sched::run(|| {
    ///     let listener = TcpListener::from_bound(bound)?;
    ///     let _client = TcpStream::connect(listener.local_addr()?)?; // it reads nothing
    ///     let (stream, _) = listener.accept()?;
    ///     // The client's kernel takes some, too.
    ///     while stream.try_write(&[0; 16 << 10]).is_ok() {}
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn notsent_lowat(mut self, bytes: Option<usize>) -> Self {
        self.notsent_lowat = bytes;
        self
    }

    /// Whether and when the kernel finds out that the peer of an accepted connection has vanished
    /// without a packet. Default: `None`, it never does while nothing is sent. (Simulated peers are
    /// not asked.)
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Opens one listener, at an address or at the first address of a name that can be bound. It
    /// can go to any thread, or in a simulation to any shard, where
    /// [`TcpListener::from_bound`](crate::TcpListener::from_bound) makes it a listener of that
    /// shard.
    ///
    /// # Blocking
    ///
    /// Not a yield point, except if `address` is a name, which is resolved as by
    /// [`lookup_host`](crate::lookup_host).
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`](crate::TcpListener::bind).
    pub fn bind(&self, address: impl ToSocketAddrs) -> io::Result<BoundTcpListener> {
        with_first(&address, |address| self.bind_one(address))
    }

    fn bind_one(&self, address: SocketAddr) -> io::Result<BoundTcpListener> {
        if sim::is_simulated() {
            let mut group = self.bind_simulated(address, 1)?;
            return Ok(group.remove(0));
        }
        let socket = self.open(address, |_| Ok(()))?;
        Ok(net::TcpListener::from(socket).into())
    }

    /// Opens `count` listeners on one address, one for each shard; with port 0 they share the port
    /// that the first one got.
    ///
    /// On Linux the kernel spreads the connections over them (`SO_REUSEPORT`); elsewhere they are
    /// one shared socket. If another process or program part listens on the address, that is an
    /// error in any case.
    ///
    /// # Blocking
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    #[track_caller]
    pub fn bind_group(
        &self,
        address: impl ToSocketAddrs,
        count: usize,
    ) -> io::Result<Vec<BoundTcpListener>> {
        assert!(
            count > 0,
            "straightline: `bind_group` with 0 listeners: ask for one for each thread, at least 1"
        );
        with_first(&address, |address| self.bind_group_at(address, count))
    }

    fn bind_group_at(
        &self,
        address: SocketAddr,
        count: usize,
    ) -> io::Result<Vec<BoundTcpListener>> {
        if sim::is_simulated() {
            return self.bind_simulated(address, count);
        }
        let mut group = Vec::with_capacity(count);
        if cfg!(target_os = "linux") {
            // Among SO_REUSEPORT sockets of one user there is no "address in use". So the first one
            // binds without the option, which fails if another socket listens there. It joins the
            // group between bind and listen.
            let first =
                self.open_with(address, |_| Ok(()), |socket| socket.set_reuse_port(true))?;
            group.push(BoundTcpListener::from(net::TcpListener::from(first)));
            let address = group[0].local_addr()?;
            for _ in 1..count {
                let member = self.open(address, |socket| socket.set_reuse_port(true))?;
                group.push(net::TcpListener::from(member).into());
            }
        } else {
            group.push(self.bind_one(address)?);
            for _ in 1..count {
                group.push(group[0].try_clone()?);
            }
        }
        Ok(group)
    }

    /// Sets the options on a listener that is open already, for the connections that it accepts
    /// from now on. The backlog stays as it is. All processes that have the socket get the same
    /// options. (A simulated listener keeps its own.)
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// ```
    /// use straightline_net::{BoundTcpListener, ListenOptions};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let bound = BoundTcpListener::from(listener);
    /// ListenOptions::new().apply(&bound)?; // `TCP_NODELAY`, which std does not set
    /// # std::io::Result::Ok(())
    /// ```
    pub fn apply(&self, listener: &BoundTcpListener) -> io::Result<()> {
        match &listener.kind {
            Kind::System(listener) => self.set_options(&SockRef::from(listener)),
            Kind::Simulated(_) => Ok(()),
        }
    }

    fn open(
        &self,
        address: SocketAddr,
        before_bind: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Socket> {
        self.open_with(address, before_bind, |_| Ok(()))
    }

    fn open_with(
        &self,
        address: SocketAddr,
        before_bind: impl FnOnce(&Socket) -> io::Result<()>,
        after_bind: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Socket> {
        let open = || {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::STREAM, Some(socket2::Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            // A restarted server must not wait until connections of its predecessor have left
            // TIME-WAIT.
            socket.set_reuse_address(true)?;
            self.set_options(&socket)?;
            before_bind(&socket)?;
            socket.bind(&address.into())?;
            after_bind(&socket)?;
            socket.listen(self.backlog)?;
            Ok(socket)
        };
        open().map_err(|error| cannot_bind(Protocol::Tcp, address, error))
    }

    /// The options that accepted sockets inherit.
    fn set_options(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        // Before `listen`: the first window that a client is told depends on it.
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(bytes) = self.notsent_lowat {
            socket.set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX))?;
        }
        if let Some(Keepalive { idle, interval, probes }) = self.keepalive {
            let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval);
            socket.set_tcp_keepalive(&keepalive.with_retries(probes))?;
        }
        Ok(())
    }

    fn simulated(&self) -> ListenerOptions {
        ListenerOptions {
            backlog: self.backlog,
            nodelay: self.nodelay,
            send_buffer: self.send_buffer,
            receive_buffer: self.receive_buffer,
            notsent_lowat: self.notsent_lowat,
        }
    }

    fn bind_simulated(
        &self,
        address: SocketAddr,
        count: usize,
    ) -> io::Result<Vec<BoundTcpListener>> {
        let group = Handle::listen(address, count, &self.simulated());
        let group = group.map_err(|error| cannot_bind(Protocol::Tcp, address, error))?;
        let bound =
            |handle: Handle| BoundTcpListener { kind: Kind::Simulated(handle.into_bound()) };
        Ok(group.into_iter().map(bound).collect())
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the kernel drop every segment with a SYN that comes to the listener, and no other segment.
#[cfg(target_os = "linux")]
pub(crate) fn drop_new_handshakes(listener: &net::TcpListener) -> io::Result<()> {
    use socket2::SockFilter;
    // Classic BPF, over the header of TCP. Byte 13 has the flags, the second of which is SYN.
    socket2::SockRef::from(listener).attach_filter(&[
        SockFilter::new(0x30, 0, 0, 13),       // ldb [13]
        SockFilter::new(0x45, 0, 1, 0x02),     // jset #SYN, next, the one after
        SockFilter::new(0x06, 0, 0, 0),        // ret #0: drop it
        SockFilter::new(0x06, 0, 0, u32::MAX), // ret #-1: all of it
    ])
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
pub(crate) fn drop_new_handshakes(_: &net::TcpListener) -> io::Result<()> {
    Ok(())
}
