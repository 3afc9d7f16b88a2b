//! An end of a TCP connection, as its program sees it: the calls, and the answer of each.
//!
//! The answers are Linux's. After a reset, the bytes that have arrived can be read; then the error
//! comes once, and then the end of the stream. A write gets the error once, and then `EPIPE`. The
//! other half, what the network does to a connection, is `segment`.
//!
//! | phase        | is in it                               | leaves it                         |
//! |--------------|----------------------------------------|-----------------------------------|
//! | `Connecting` | an end that sent a SYN                 | SYN-ACK: `Open`; RST, time: `Over` |
//! | `Answering`  | an end that got a SYN, not queued yet   | segment: `Open`; RST, time: gone  |
//! | `Open`       | both, until both directions are closed | ends known, RST, time: `Over`     |
//! | `Over`       | an end that a handle still names       |                                   |
//!
//! When its program has closed a connection, the connection lives on as an *orphan* until its FIN
//! has arrived. It resets a peer that still sends.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::{self, Level};

use super::handle::Handle;
use super::hosts::route;
use super::link::Link;
use super::listener::ListenerOptions;
use super::pipe::{Incoming, Outgoing};
use super::retransmission::Retransmission;
use super::table::{Net, NetState, SocketKey, SocketKind};
use super::wire::{Packet, What};

#[allow(clippy::struct_excessive_bools)] // flags in any combination
pub(super) struct Tcp {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) phase: TcpPhase,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    /// Why the connection is over; the next call that may fail takes it.
    pub(super) error: Option<Errno>,
    /// The program will read no more. Data that arrives can be read all the same, as on Linux.
    read_shut: bool,
    pub(super) nodelay: bool,
    /// A listener of IPv6 has accepted it, so its IPv4 addresses are shown as addresses of IPv6.
    pub(super) is_mapped: bool,
    /// The program's close resets the peer.
    pub(super) zero_linger: bool,
    /// It was not accepted yet.
    pub(super) is_unaccepted: bool,
    /// Its last minute runs.
    pub(super) is_leaving: bool,
    /// When the last packet that it has sent arrives: no packet overtakes another.
    last_arrival: Duration,
    pub(super) retransmission: Retransmission,
    /// A writer waits for room, and was not told of any.
    was_full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpPhase {
    Connecting,
    Answering { listener: SocketKey },
    Open,
    Over,
}

impl Handle {
    /// Begins to connect to an address; the handle becomes writable when that is decided.
    pub(crate) fn connect_tcp(remote: SocketAddr) -> io::Result<Self> {
        let net = Net::current();
        let key = net.with(|state| state.connect_tcp(remote))??;
        Self::of(&net, key)
    }
}

impl Tcp {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, link: &Link, phase: TcpPhase) -> Self {
        Self {
            local,
            remote,
            phase,
            outgoing: Outgoing::new(link.send_buffer_bytes, link.send_buffer_bytes_max, 0),
            incoming: Incoming::new(link.receive_buffer_bytes),
            error: None,
            read_shut: false,
            nodelay: false,
            is_mapped: false,
            zero_linger: false,
            is_unaccepted: matches!(phase, TcpPhase::Answering { .. }),
            is_leaving: false,
            last_arrival: Duration::ZERO,
            retransmission: Retransmission::default(),
            was_full: true,
        }
    }

    /// Takes the options of the listener that it came to.
    pub(super) fn set_options(&mut self, options: &ListenerOptions) {
        self.nodelay = options.nodelay;
        if let Some(bytes) = options.send_buffer {
            self.outgoing.fix_capacity(bytes.saturating_mul(2)); // as Linux
        }
        if let Some(bytes) = options.receive_buffer {
            self.incoming = Incoming::new(bytes.saturating_mul(2));
        }
        self.outgoing.set_notsent_max(options.notsent_lowat.unwrap_or(usize::MAX));
    }

    /// An address of the connection as its program sees it.
    pub(super) fn shown(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.is_mapped => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())
            }
            _ => address,
        }
    }

    /// How many bytes the peer may send at first.
    pub(super) fn room(&mut self) -> u64 {
        self.incoming.acknowledgement().window_end
    }

    pub(super) fn take_error(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn level(&self) -> Level {
        let is_over = self.phase == TcpPhase::Over;
        let is_open = self.phase == TcpPhase::Open;
        let read_closed = is_over || self.read_shut || self.incoming.end_arrived();
        Level::default()
            .with_readable(read_closed || self.incoming.len() > 0)
            .with_writable(
                is_over
                    || self.outgoing.is_finished()
                    || (is_open && self.outgoing.has_ample_room()),
            )
            .with_read_closed(read_closed)
    }
}

impl NetState {
    fn connect_tcp(&mut self, remote: SocketAddr) -> io::Result<SocketKey> {
        self.check_descriptors()?;
        let (ip, remote) = route(remote)?;
        let is_free = |state: &Self, local: SocketAddr| {
            !state.connections.contains_key(&(local, remote))
                && !state.listeners.contains_key(&local)
        };
        let local = self.with_port(SocketAddr::new(ip, 0), is_free)?;
        let link = self.wires.link(local.ip(), remote.ip());
        let tcp = Tcp::new(local, remote, link, TcpPhase::Connecting);
        let label = format!("tcp {local} > {remote}");
        let key = self.insert(label, true, SocketKind::Tcp(Box::new(tcp)));
        self.connections.insert((local, remote), key);
        self.note(key, || "connects".to_owned());
        self.send_from(key, |tcp| What::Syn(tcp.room()));
        Ok(key)
    }

    pub(super) fn recv_tcp(
        &mut self,
        key: SocketKey,
        buffer: &mut [u8],
        peek: bool,
    ) -> io::Result<usize> {
        let tcp = self.tcp_mut(key);
        if tcp.incoming.len() == 0 {
            let is_over = tcp.phase == TcpPhase::Over;
            let result = match () {
                () if tcp.incoming.end_arrived() => Ok(0),
                () if tcp.error.is_some() => tcp.take_error().map(|()| 0),
                () if tcp.read_shut || is_over => Ok(0),
                () => Err(Errno::AGAIN.into()),
            };
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                self.note(key, || format!("reads: {result:?}"));
            }
            return result;
        }
        if peek {
            return Ok(tcp.incoming.peek(buffer));
        }
        let count = tcp.incoming.read(buffer);
        let is_news = tcp.phase == TcpPhase::Open && tcp.incoming.has_news_of_room();
        self.note(key, || format!("reads {count} bytes"));
        if is_news {
            self.acknowledge(key);
        }
        self.update(key, false);
        Ok(count)
    }

    pub(super) fn send_tcp(
        &mut self,
        key: SocketKey,
        buffers: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let tcp = self.tcp_mut(key);
        let result = match tcp.phase {
            _ if tcp.error.is_some() => tcp.take_error(),
            TcpPhase::Connecting | TcpPhase::Answering { .. } => Err(Errno::AGAIN.into()),
            TcpPhase::Over => Err(Errno::PIPE.into()),
            TcpPhase::Open if tcp.outgoing.is_finished() => Err(Errno::PIPE.into()),
            TcpPhase::Open => Ok(()),
        };
        if let Err(error) = result {
            self.note(key, || format!("writes: {error}"));
            return Err(error);
        }
        let asked: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let (local, remote) = (tcp.local.ip(), tcp.remote.ip());
        let mut count = asked.min(tcp.outgoing.room());
        if count < asked {
            tcp.outgoing.note_filled();
        }
        if asked > 0 && count == 0 {
            tcp.was_full = true;
            return Err(Errno::AGAIN.into());
        }
        let short_write_chance = self.wires.link(local, remote).short_write_chance;
        let is_short = count > 1 && self.random.chance(short_write_chance);
        if is_short {
            count = 1 + self.random.index(count - 1);
        }
        let tcp = self.tcp_mut(key);
        let mut left = count;
        for buffer in buffers {
            left -= tcp.outgoing.write(&buffer[..left.min(buffer.len())]);
        }
        // A program that waits for room after a short write finds it at once.
        tcp.was_full |= is_short;
        self.counters.bytes_written += count as u64;
        self.note(key, || format!("writes {count} bytes of {asked}"));
        self.pump(key);
        self.update(key, false);
        Ok(count)
    }

    pub(super) fn shutdown_tcp(&mut self, key: SocketKey, how: Shutdown) -> io::Result<()> {
        let tcp = self.tcp_mut(key);
        if tcp.phase != TcpPhase::Open {
            return Err(Errno::NOTCONN.into());
        }
        if how != Shutdown::Write {
            tcp.read_shut = true;
        }
        if how != Shutdown::Read {
            tcp.outgoing.finish();
        }
        self.note(key, || format!("is shut down: {how:?}"));
        self.pump(key);
        self.update(key, true);
        Ok(())
    }

    pub(super) fn peer_of_tcp(&self, key: SocketKey) -> io::Result<SocketAddr> {
        let tcp = self.tcp(key);
        match tcp.phase {
            TcpPhase::Answering { .. } | TcpPhase::Open => Ok(tcp.shown(tcp.remote)),
            TcpPhase::Connecting | TcpPhase::Over => Err(Errno::NOTCONN.into()),
        }
    }

    /// The program closes its end.
    pub(super) fn close_tcp(&mut self, key: SocketKey) {
        self.counters.closed += 1;
        self.note(key, || "is closed".to_owned());
        let tcp = self.tcp_mut(key);
        match tcp.phase {
            // It has sent its last packet, and may have to send it again.
            TcpPhase::Over if tcp.is_leaving => {}
            TcpPhase::Connecting | TcpPhase::Over => self.forget(key),
            // The peer learns that its data was lost (RFC 9293, section 3.6).
            _ if tcp.incoming.len() > 0 || tcp.zero_linger => self.abort(key),
            _ => {
                tcp.outgoing.finish();
                self.pump(key);
                self.settle(key);
            }
        }
    }

    /// Resets the peer. The program keeps its end, which has no use any more.
    pub(super) fn reset_tcp(&mut self, key: SocketKey) -> io::Result<()> {
        let tcp = self.tcp(key);
        if tcp.phase != TcpPhase::Open {
            return Err(Errno::NOTCONN.into());
        }
        let (local, remote, last_arrival) = (tcp.local, tcp.remote, tcp.last_arrival);
        self.note(key, || "sends RST".to_owned());
        self.send_reset(local, remote, last_arrival);
        self.fail(key, Errno::CONNRESET);
        Ok(())
    }

    /// Resets the peer, and forgets the connection.
    pub(super) fn abort(&mut self, key: SocketKey) {
        let tcp = self.tcp(key);
        let (local, remote, last_arrival) = (tcp.local, tcp.remote, tcp.last_arrival);
        if tcp.phase != TcpPhase::Over {
            self.note(key, || "sends RST".to_owned());
            self.send_reset(local, remote, last_arrival);
        }
        self.tcp_mut(key).is_unaccepted = false;
        self.forget(key);
    }

    pub(super) fn send_reset(&mut self, from: SocketAddr, to: SocketAddr, earliest: Duration) {
        self.send(Packet { from, to, what: What::Reset }, earliest);
    }

    /// Sends a packet of that connection.
    pub(super) fn send_from(&mut self, key: SocketKey, what: impl FnOnce(&mut Tcp) -> What) {
        let tcp = self.tcp_mut(key);
        let (from, to, earliest) = (tcp.local, tcp.remote, tcp.last_arrival);
        let what = what(tcp);
        let arrives_at = self.send(Packet { from, to, what }, earliest);
        self.tcp_mut(key).last_arrival = arrives_at;
    }

    /// The connection's readiness may have changed; with an edge if that is news.
    pub(super) fn update(&mut self, key: SocketKey, edge: bool) {
        let tcp = self.tcp_mut(key);
        let level = tcp.level();
        let was_full = std::mem::replace(&mut tcp.was_full, !level.writable);
        self.set_level(key, level, edge || (was_full && level.writable));
    }

    /// Removes it from the table of connections, and from that of sockets unless a handle names it.
    pub(super) fn forget(&mut self, key: SocketKey) {
        let tcp = self.tcp_mut(key);
        tcp.is_leaving = false;
        let (ends, phase) = ((tcp.local, tcp.remote), tcp.phase);
        let has_owner = tcp.is_unaccepted && !matches!(phase, TcpPhase::Answering { .. });
        if self.connections.get(&ends) == Some(&key) {
            self.connections.remove(&ends);
        }
        if let TcpPhase::Answering { listener } = phase {
            self.forget_begun(listener);
        }
        if !has_owner && !self.sockets[key].is_open() {
            self.sockets.remove(key);
        }
    }

    pub(super) fn is_orphan(&self, key: SocketKey) -> bool {
        !self.sockets[key].is_open() && !self.tcp(key).is_unaccepted
    }

    pub(super) fn tcp(&self, key: SocketKey) -> &Tcp {
        match &self.sockets[key].kind {
            SocketKind::Tcp(tcp) => tcp,
            _ => unreachable!("a connection's key"),
        }
    }

    pub(super) fn tcp_mut(&mut self, key: SocketKey) -> &mut Tcp {
        match &mut self.sockets[key].kind {
            SocketKind::Tcp(tcp) => tcp,
            _ => unreachable!("a connection's key"),
        }
    }

    /// Resets every connection with an end at that address, as a router in between would.
    pub(super) fn reset_all(&mut self, address: SocketAddr) -> usize {
        let ends: Vec<_> = self.connections.keys().copied().collect();
        let matching = ends.into_iter().filter(|&(one, other)| one == address || other == address);
        matching.filter(|&ends| self.reset_one(ends)).count()
    }

    /// Resets the end of that connection, if it exists.
    pub(super) fn reset_one(&mut self, ends: (SocketAddr, SocketAddr)) -> bool {
        let Some(&key) = self.connections.get(&ends) else { return false };
        sim::trace(|| format!("reset: {} > {}", ends.0, ends.1));
        self.arrive_reset(key);
        true
    }
}
