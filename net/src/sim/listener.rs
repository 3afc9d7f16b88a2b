//! A TCP listener, and the connections that wait to be accepted.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use straightline_sched::sim::{self, Level};

use super::handle::Handle;
use super::table::{Net, NetState, SocketKey, SocketKind, overlap, unspecified};
use super::tcp::{Tcp, TcpPhase};
use super::wire::{Packet, What};

/// What a listener is opened with, as far as it is simulated; accepted sockets inherit it.
#[derive(Clone, Debug)]
pub(crate) struct ListenerOptions {
    pub(crate) backlog: i32,
    pub(crate) nodelay: bool,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) notsent_lowat: Option<usize>,
}

pub(super) struct Listener {
    pub(super) local: SocketAddr,
    /// Connections that are established and wait.
    queue: VecDeque<SocketKey>,
    /// How many may wait; as on Linux there is room for one more.
    backlog: usize,
    /// Connections in the middle of their handshake.
    begun: usize,
    options: ListenerOptions,
    /// No new connection gets into the queue.
    is_closed: bool,
}

impl Handle {
    /// `count` listeners on one address, where no other socket listens.
    pub(crate) fn listen(
        address: SocketAddr,
        count: usize,
        options: &ListenerOptions,
    ) -> io::Result<Vec<Self>> {
        let net = Net::current();
        let keys = net.with(|state| state.listen(address, count, options))??;
        keys.into_iter().map(|key| Self::of(&net, key)).collect()
    }

    /// From now on no new connection gets into the queue.
    pub(crate) fn close_queue(&self) -> io::Result<()> {
        self.with(|state, key| state.listener_mut(key).is_closed = true)
    }

    /// Takes a connection that waits; `WouldBlock` if none does.
    pub(crate) fn accept_tcp(&self) -> io::Result<(Self, SocketAddr)> {
        let (key, peer) = self.with(NetState::accept_tcp)??;
        Ok((self.another(key)?, peer))
    }
}

impl NetState {
    fn listen(
        &mut self,
        address: SocketAddr,
        count: usize,
        options: &ListenerOptions,
    ) -> io::Result<Vec<SocketKey>> {
        self.check_descriptors()?;
        let is_free = |state: &Self, address: SocketAddr| {
            !state.listeners.keys().any(|&other| overlap(address, other))
        };
        let local = self.with_port(address, is_free)?;
        if !is_free(self, local) {
            return Err(Errno::ADDRINUSE.into());
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            if let Err(error) = self.check_descriptors() {
                keys.into_iter().for_each(|key| self.close_listener(key));
                return Err(error);
            }
            let listener = Listener {
                local,
                queue: VecDeque::new(),
                // As in the kernel, which reads the number as one without a sign.
                backlog: usize::try_from(options.backlog).unwrap_or(BACKLOG_MAX).min(BACKLOG_MAX),
                begun: 0,
                options: options.clone(),
                is_closed: false,
            };
            let label = format!("tcp listener {local}");
            let key = self.insert(label, true, SocketKind::TcpListener(listener));
            self.listeners.entry(local).or_default().push(key);
            self.note(key, || "listens".to_owned());
            keys.push(key);
        }
        Ok(keys)
    }

    fn accept_tcp(&mut self, key: SocketKey) -> io::Result<(SocketKey, SocketAddr)> {
        // Before it looks for a connection, as on Linux.
        self.check_descriptors()?;
        self.faults.check_accept()?;
        let connection = self.listener_mut(key).queue.pop_front();
        self.set_listener_level(key, false);
        let connection = connection.ok_or(Errno::AGAIN)?;
        if let Err(error) = self.faults.check_accepted() {
            self.abort(connection);
            return Err(error);
        }
        let tcp = self.tcp_mut(connection);
        tcp.is_unaccepted = false;
        let peer = tcp.shown(tcp.remote);
        self.sockets[connection].open();
        self.counters.accepted += 1;
        self.note(connection, || "is accepted".to_owned());
        Ok((connection, peer))
    }

    /// A SYN has arrived.
    pub(super) fn arrive_syn(&mut self, packet: &Packet, window: u64) {
        let Packet { from: remote, to: local, .. } = *packet;
        let refused = self.faults.refuses(local);
        let Some(key) = self.find_listener(local).filter(|_| !refused) else {
            sim::trace(|| format!("refused: {remote} > {local}"));
            self.send_reset(local, remote, sim::elapsed());
            return;
        };
        let listener = self.listener_mut(key);
        if listener.is_closed || listener.queue.len() + listener.begun > listener.backlog {
            // The SYN is dropped without an answer, and the client sends it again.
            self.note(key, || format!("has no room for {remote}"));
            self.counters.packets_lost += 1;
            if let Some(&connecting) = self.connections.get(&(remote, local)) {
                self.arm_retransmission(connecting);
            }
            return;
        }
        listener.begun += 1;
        let (options, is_ipv6) = (listener.options.clone(), listener.local.is_ipv6());
        let link = self.wires.link(local.ip(), remote.ip());
        let mut tcp = Tcp::new(local, remote, link, TcpPhase::Answering { listener: key });
        tcp.set_options(&options);
        tcp.is_mapped = is_ipv6 && local.is_ipv4();
        tcp.set_window(window);
        let label = format!("tcp {local} > {remote}");
        let connection = self.insert(label, false, SocketKind::Tcp(Box::new(tcp)));
        self.connections.insert((local, remote), connection);
        self.send_from(connection, |tcp| What::SynAck(tcp.room()));
    }

    /// The handshake is complete: the connection waits to be accepted.
    pub(super) fn enqueue(&mut self, key: SocketKey, connection: SocketKey) {
        let listener = self.listener_mut(key);
        listener.begun -= 1;
        listener.queue.push_back(connection);
        self.note(connection, || "waits to be accepted".to_owned());
        self.set_listener_level(key, true);
    }

    /// A handshake has failed.
    pub(super) fn forget_begun(&mut self, key: SocketKey) {
        if let Some(SocketKind::TcpListener(listener)) =
            self.sockets.get_mut(key).map(|entry| &mut entry.kind)
        {
            listener.begun -= 1;
        }
    }

    pub(super) fn close_listener(&mut self, key: SocketKey) {
        self.note(key, || "is closed".to_owned());
        let local = self.listener_mut(key).local;
        let queue = std::mem::take(&mut self.listener_mut(key).queue);
        if let Some(group) = self.listeners.get_mut(&local) {
            group.retain(|&member| member != key);
            if group.is_empty() {
                self.listeners.remove(&local);
            }
        }
        self.sockets.remove(key);
        let begun: Vec<_> = self
            .connections
            .values()
            .copied()
            .filter(|&connection| {
                self.tcp(connection).phase == TcpPhase::Answering { listener: key }
            })
            .collect();
        queue.into_iter().chain(begun).for_each(|connection| self.abort(connection));
    }

    /// The listener of an address: one on that address, or one on all addresses, of its family or
    /// of both (`[::]`); of a group, one or another.
    fn find_listener(&mut self, address: SocketAddr) -> Option<SocketKey> {
        let group = self.listeners.get(&address);
        let group = group.or_else(|| self.listeners.get(&unspecified(address)));
        let of_both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
        let group = group.or_else(|| self.listeners.get(&of_both))?;
        match group[..] {
            [only] => Some(only),
            _ => Some(group[self.random.index(group.len())]),
        }
    }

    fn set_listener_level(&mut self, key: SocketKey, edge: bool) {
        let readable = !self.listener_mut(key).queue.is_empty();
        self.set_level(key, Level::default().with_readable(readable), edge);
    }

    pub(super) fn listener_mut(&mut self, key: SocketKey) -> &mut Listener {
        match &mut self.sockets[key].kind {
            SocketKind::TcpListener(listener) => listener,
            _ => unreachable!("a listener's key"),
        }
    }
}

/// The longest queue that Linux grants (`net.core.somaxconn`).
const BACKLOG_MAX: usize = 4_096;
