//! Opening listeners of TCP, on whatever thread, for whichever shard.

use std::io;
use std::net::{self, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use straightline_sched::sim;

use crate::bound::{BoundTcpListener, Kind};
use crate::sim::Handle;

/// How to open a listener, where the defaults of
/// [`TcpListener::bind`](crate::TcpListener::bind) do not do.
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

    /// Opens one listener. It can go to any thread, or in a simulation to any shard, where
    /// [`TcpListener::from_bound`](crate::TcpListener::from_bound) makes it one of that.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// What the system said, with the address in the message.
    pub fn bind(&self, address: SocketAddr) -> io::Result<BoundTcpListener> {
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
            return self.bind_simulated(address, count);
        }
        let mut group = Vec::with_capacity(count);
        if cfg!(target_os = "linux") {
            // Among SO_REUSEPORT sockets of one user there is no "address in use". So the first
            // one binds without it, which fails if anybody listens there, and joins the group
            // between bind and listen.
            let first =
                self.open_with(address, |_| Ok(()), |socket| socket.set_reuse_port(true))?;
            group.push(BoundTcpListener::from(net::TcpListener::from(first)));
            let address = group[0].local_addr()?;
            for _ in 1..count {
                let member = self.open(address, |socket| socket.set_reuse_port(true))?;
                group.push(net::TcpListener::from(member).into());
            }
        } else {
            group.push(self.bind(address)?);
            for _ in 1..count {
                group.push(group[0].try_clone()?);
            }
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
        let open = || {
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
        open().map_err(|error| cannot_listen(address, &error))
    }

    fn bind_simulated(
        &self,
        address: SocketAddr,
        count: usize,
    ) -> io::Result<Vec<BoundTcpListener>> {
        let group = Handle::listen(address, count, self.backlog, self.nodelay);
        let group = group.map_err(|error| cannot_listen(address, &error))?;
        let bound =
            |handle: Handle| BoundTcpListener { kind: Kind::Simulated(handle.into_bound()) };
        Ok(group.into_iter().map(bound).collect())
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}
