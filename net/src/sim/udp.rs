//! Datagrams: each arrives whole, or not at all, or twice, and in no particular order.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use straightline_sched::sim::{self, Level};

use super::handle::Handle;
use super::hosts::route;
use super::table::{Net, NetState, SocketKey, SocketKind, overlap, unspecified};

pub(super) struct Udp {
    pub(super) local: SocketAddr,
    /// The peer that it was connected to.
    pub(super) peer: Option<SocketAddr>,
    queue: VecDeque<Datagram>,
    /// The bytes of all queued datagrams; beyond the capacity a datagram is lost.
    capacity: usize,
    error: Option<Errno>,
    ttl: u32,
}

struct Datagram {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Handle {
    pub(crate) fn bind_udp(address: SocketAddr) -> io::Result<Self> {
        let net = Net::current();
        let key = net.with(|state| state.bind_udp(address))??;
        Self::of(&net, key)
    }

    pub(crate) fn connect_udp(&self, peer: SocketAddr) -> io::Result<()> {
        self.with(|state, key| state.connect_udp(key, peer))?
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.with(|state, key| state.send_udp(key, bytes, Some(to)))?
    }

    pub(crate) fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with(|state, key| state.recv_udp(key, buffer, false))?
    }

    pub(crate) fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with(|state, key| state.recv_udp(key, buffer, true))?
    }

    pub(crate) fn ttl(&self) -> io::Result<u32> {
        self.with(|state, key| state.udp_mut(key).ttl)
    }

    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        if !(1..=255).contains(&ttl) {
            return Err(Errno::INVAL.into());
        }
        self.with(|state, key| state.udp_mut(key).ttl = ttl)
    }
}

impl Udp {
    pub(super) fn take_error(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl NetState {
    fn bind_udp(&mut self, address: SocketAddr) -> io::Result<SocketKey> {
        self.check_descriptors()?;
        let is_free = |state: &Self, address: SocketAddr| {
            !state.datagram_sockets.keys().any(|&other| overlap(address, other))
        };
        let local = self.with_port(address, is_free)?;
        if !is_free(self, local) {
            return Err(Errno::ADDRINUSE.into());
        }
        let udp = Udp {
            local,
            peer: None,
            queue: VecDeque::new(),
            capacity: self.wires.default_link().receive_buffer_bytes,
            error: None,
            ttl: TTL_DEFAULT,
        };
        let key = self.insert(format!("udp {local}"), true, SocketKind::Udp(Box::new(udp)));
        self.datagram_sockets.insert(local, key);
        self.update_udp(key, false);
        Ok(key)
    }

    fn connect_udp(&mut self, key: SocketKey, peer: SocketAddr) -> io::Result<()> {
        let (from, peer) = self.way(key, peer)?;
        let before = self.udp_mut(key).local;
        self.datagram_sockets.remove(&before);
        self.datagram_sockets.insert(from, key);
        let udp = self.udp_mut(key);
        udp.local = from;
        udp.peer = Some(peer);
        Ok(())
    }

    pub(super) fn send_udp(
        &mut self,
        key: SocketKey,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> io::Result<usize> {
        self.udp_mut(key).take_error()?;
        let to = to.or(self.udp_mut(key).peer).ok_or(Errno::DESTADDRREQ)?;
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(Errno::MSGSIZE.into());
        }
        let (from, to) = self.way(key, to)?;
        self.note(key, || format!("sends {} bytes to {to}", bytes.len()));
        self.counters.packets_sent += 1;
        let link = self.wires.link(from.ip(), to.ip());
        let (datagram_loss_chance, datagram_duplication_chance) =
            (link.datagram_loss_chance, link.datagram_duplication_chance);
        let is_lost = self.random.chance(datagram_loss_chance) || self.is_cut(from, to);
        let copies = 1 + u32::from(self.random.chance(datagram_duplication_chance));
        if is_lost {
            self.lose_datagram(from, to);
            return Ok(bytes.len());
        }
        for _ in 0..copies {
            let arrives_at = self.arrival(from.ip(), to.ip(), bytes.len());
            let datagram = Datagram { from, bytes: bytes.to_owned() };
            self.after(arrives_at.saturating_sub(sim::elapsed()), move |state| {
                if state.is_cut(from, to) {
                    state.lose_datagram(from, to);
                } else {
                    state.arrive_datagram(datagram, to);
                }
            });
        }
        Ok(bytes.len())
    }

    /// An error comes before queued datagrams, as on Linux.
    pub(super) fn recv_udp(
        &mut self,
        key: SocketKey,
        buffer: &mut [u8],
        peek: bool,
    ) -> io::Result<(usize, SocketAddr)> {
        let udp = self.udp_mut(key);
        udp.take_error()?;
        let datagram = udp.queue.front().ok_or(Errno::AGAIN)?;
        let (from, count) = (datagram.from, buffer.len().min(datagram.bytes.len()));
        buffer[..count].copy_from_slice(&datagram.bytes[..count]);
        if !peek {
            udp.queue.pop_front();
            self.note(key, || format!("receives {count} bytes from {from}"));
            self.update_udp(key, false);
        }
        Ok((count, from))
    }

    pub(super) fn close_udp(&mut self, key: SocketKey) {
        let local = self.udp_mut(key).local;
        self.datagram_sockets.remove(&local);
        self.sockets.remove(key);
    }

    fn arrive_datagram(&mut self, datagram: Datagram, to: SocketAddr) {
        let from = datagram.from;
        let found = self.datagram_sockets.get(&to);
        let found = found.or_else(|| self.datagram_sockets.get(&unspecified(to))).copied();
        let takes = |state: &mut Self, key: &SocketKey| {
            state.udp_mut(*key).peer.is_none_or(|peer| peer == from)
        };
        let Some(key) = found.filter(|key| takes(self, key)) else {
            sim::trace(|| format!("no socket there: {from} > {to}"));
            return self.send_unreachable(from, to);
        };
        let udp = self.udp_mut(key);
        let queued: usize = udp.queue.iter().map(|datagram| datagram.bytes.len()).sum();
        if !udp.queue.is_empty() && queued + datagram.bytes.len() > udp.capacity {
            self.note(key, || format!("has no room for a datagram from {from}"));
            self.counters.packets_lost += 1;
            return;
        }
        udp.queue.push_back(datagram);
        self.counters.datagrams_delivered += 1;
        self.update_udp(key, true);
    }

    /// The sender learns that no socket was there, if it is connected (RFC 1122, section 4.1.3.3).
    fn send_unreachable(&mut self, sender: SocketAddr, receiver: SocketAddr) {
        let arrives_at = self.arrival(receiver.ip(), sender.ip(), 0);
        self.after(arrives_at.saturating_sub(sim::elapsed()), move |state| {
            let found = state.datagram_sockets.get(&sender).copied();
            if let Some(key) = found
                && !state.is_cut(receiver, sender)
                && state.udp_mut(key).peer == Some(receiver)
            {
                state.udp_mut(key).error = Some(Errno::CONNREFUSED);
                state.update_udp(key, true);
            }
        });
    }

    fn lose_datagram(&mut self, from: SocketAddr, to: SocketAddr) {
        self.counters.packets_lost += 1;
        sim::trace(|| format!("lost: {from} > {to}"));
    }

    /// The source and the destination of that socket's datagrams.
    fn way(&self, key: SocketKey, to: SocketAddr) -> io::Result<(SocketAddr, SocketAddr)> {
        let local = match &self.sockets[key].kind {
            SocketKind::Udp(udp) => udp.local,
            _ => unreachable!("a datagram socket's key"),
        };
        let is_broadcast = to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
        if is_broadcast || to.ip().is_multicast() {
            return Err(not_simulated());
        }
        if local.is_ipv4() != to.is_ipv4() {
            return Err(Errno::AFNOSUPPORT.into());
        }
        if to.port() == 0 {
            return Err(Errno::INVAL.into());
        }
        if !local.ip().is_unspecified() {
            let mut to = to;
            if to.ip().is_unspecified() {
                to.set_ip(local.ip());
            }
            return Ok((local, to));
        }
        let (ip, to) = route(to)?;
        Ok((SocketAddr::new(ip, local.port()), to))
    }

    fn update_udp(&mut self, key: SocketKey, edge: bool) {
        let udp = self.udp_mut(key);
        let readable = !udp.queue.is_empty() || udp.error.is_some();
        self.set_level(
            key,
            Level::default().with_readable(readable).with_writable(true).with_read_closed(false),
            edge,
        );
    }

    fn udp_mut(&mut self, key: SocketKey) -> &mut Udp {
        match &mut self.sockets[key].kind {
            SocketKind::Udp(udp) => udp,
            _ => unreachable!("a datagram socket's key"),
        }
    }
}

/// The answer of the calls for broadcast and multicast.
pub(crate) fn not_simulated() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "broadcast and multicast are not simulated")
}

/// The largest payload of an IP packet (RFC 768: 65,535 bytes less the headers).
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Linux's `ip_default_ttl`.
const TTL_DEFAULT: u32 = 64;
