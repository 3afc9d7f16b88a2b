//! Opening listeners, on whatever thread, for whichever shard.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use straightline_sched::sim;

use crate::sim::BoundListener;
use crate::socket::no_descriptor;

/// How to open a listener, where the defaults of [`TcpListener::bind`] do not do.
///
/// ```
/// use straightline_net::ListenOptions;
///
/// let address = "127.0.0.1:0".parse().unwrap();
/// let shards = ListenOptions::new().backlog(1024).bind_group(address, 2)?;
/// assert_eq!(shards[0].local_addr()?, shards[1].local_addr()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    backlog: i32,
    nodelay: bool,
}

/// A listener that is open, and belongs to no shard yet: it can go to any thread, where
/// [`TcpListener::from_bound`](crate::TcpListener::from_bound) takes it; that one's example shows
/// it.
#[derive(Debug)]
pub struct BoundTcpListener {
    pub(crate) kind: BoundKind,
}

#[derive(Debug)]
pub(crate) enum BoundKind {
    System(net::TcpListener),
    Simulated(BoundListener),
}

impl BoundTcpListener {
    /// The address that is listened on, with the real port.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.kind {
            BoundKind::System(listener) => listener.local_addr(),
            BoundKind::Simulated(listener) => listener.address(),
        }
    }

    /// The standard library's listener, non-blocking.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a simulation; the listener is closed then.
    ///
    /// ```
    /// use straightline_net::ListenOptions;
    ///
    /// let bound = ListenOptions::new().bind("127.0.0.1:0".parse().unwrap())?;
    /// let listener: std::net::TcpListener = bound.into_std()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_std(self) -> io::Result<net::TcpListener> {
        match self.kind {
            BoundKind::System(listener) => Ok(listener),
            BoundKind::Simulated(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a simulated listener has no descriptor",
            )),
        }
    }
}

/// For options of the socket; panics in a simulation, which has no descriptors.
impl AsFd for BoundTcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            BoundKind::System(listener) => listener.as_fd(),
            BoundKind::Simulated(_) => no_descriptor(),
        }
    }
}

impl From<net::TcpListener> for BoundTcpListener {
    fn from(listener: net::TcpListener) -> Self {
        Self { kind: BoundKind::System(listener) }
    }
}

impl ListenOptions {
    /// The defaults: a backlog of 4,096 and `TCP_NODELAY` on what is accepted.
    pub fn new() -> Self {
        Self { backlog: 4096, nodelay: true }
    }

    /// How many connections the kernel keeps for the listener to accept, at most; the system's own
    /// limit (`net.core.somaxconn`) applies too.
    pub fn backlog(mut self, connections: i32) -> Self {
        self.backlog = connections;
        self
    }

    /// Whether small writes on accepted connections leave at once. The option is set once, on the
    /// listener: accepted sockets inherit it.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Opens one listener, non-blocking. It can go to any thread, where
    /// [`TcpListener::from_bound`](crate::TcpListener::from_bound) takes it.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// What the system said, with the address in the message.
    pub fn bind(&self, address: SocketAddr) -> io::Result<BoundTcpListener> {
        if sim::is_simulated() {
            let mut group = self.simulate(address, 1)?;
            return group.pop().ok_or_else(|| io::Error::other("a group of none"));
        }
        Ok(net::TcpListener::from(self.open(address, |_| Ok(()))?).into())
    }

    /// Opens `count` listeners on one address, one for each shard; with port 0 they share the port
    /// that the first one got.
    ///
    /// On Linux the kernel spreads the connections over them (`SO_REUSEPORT`); elsewhere they are
    /// one socket shared. An address that anybody else listens on is an error all the same.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// What the system said, with the address in the message.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn bind_group(
        &self,
        address: SocketAddr,
        count: usize,
    ) -> io::Result<Vec<BoundTcpListener>> {
        assert!(count > 0, "a group of no listeners");
        if sim::is_simulated() {
            return self.simulate(address, count);
        }
        let mut group = Vec::with_capacity(count);
        if cfg!(target_os = "linux") {
            // Among SO_REUSEPORT sockets of one user there is no "address in use". So the first
            // one binds without it, which fails if anybody listens there, and joins the group
            // between bind and listen.
            let first =
                self.open_with(address, |_| Ok(()), |socket| socket.set_reuse_port(true))?;
            let first = net::TcpListener::from(first);
            let address = first.local_addr()?;
            group.push(first.into());
            for _ in 1..count {
                let other = self.open(address, |socket| socket.set_reuse_port(true))?;
                group.push(net::TcpListener::from(other).into());
            }
        } else {
            let first = net::TcpListener::from(self.open(address, |_| Ok(()))?);
            for _ in 1..count {
                group.push(first.try_clone()?.into());
            }
            group.push(first.into());
        }
        Ok(group)
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
        let open = || -> io::Result<Socket> {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            // A restarted server must not wait for the last one's connections in TIME-WAIT.
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // Each family is bound by name; "[::]" then means the same on every system.
                socket.set_only_v6(true)?;
            }
            SockRef::from(&socket).set_tcp_nodelay(self.nodelay)?;
            before_bind(&socket)?;
            socket.bind(&address.into())?;
            after_bind(&socket)?;
            socket.listen(self.backlog)?;
            Ok(socket)
        };
        open().map_err(|error| told(address, &error))
    }

    fn simulate(&self, address: SocketAddr, count: usize) -> io::Result<Vec<BoundTcpListener>> {
        let group = BoundListener::listen(address, count, self.backlog, self.nodelay);
        let group = group.map_err(|error| told(address, &error))?;
        let bound = |listener| BoundTcpListener { kind: BoundKind::Simulated(listener) };
        Ok(group.into_iter().map(bound).collect())
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

fn told(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
