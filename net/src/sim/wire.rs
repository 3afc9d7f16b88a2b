//! The packets between the sockets: they travel, and get lost.
//!
//! A packet is lost if a partition cuts its way when it is sent, or while it travels. The network
//! knows that, and tells the ends of the connection when a real end would begin to send again. So a
//! connection that loses no packet needs no timer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use straightline_sched::sim;

use super::link::Link;
use super::pipe::{Acknowledgement, Piece};
use super::table::NetState;

/// The links between hosts.
#[derive(Default)]
pub(super) struct Wires {
    default: Link,
    /// The link of each pair of hosts, the smaller address first.
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    /// Until when the link from one host to another is busy, where its rate is limited.
    busy_until: BTreeMap<(IpAddr, IpAddr), Duration>,
}

/// A packet of TCP.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// SYN: the sender has room for that many bytes.
    Syn(u64),
    /// SYN-ACK: the sender has room for that many bytes.
    SynAck(u64),
    Segment(Segment),
    Reset,
}

/// A piece of the stream, perhaps empty, and an acknowledgement of the other direction.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) piece: Piece,
    pub(super) acknowledgement: Acknowledgement,
    /// The receiver is to answer it.
    pub(super) is_probe: bool,
}

impl Wires {
    pub(super) fn link(&self, one: IpAddr, other: IpAddr) -> &Link {
        self.links.get(&pair(one, other)).unwrap_or(&self.default)
    }

    pub(super) fn default_link(&self) -> &Link {
        &self.default
    }

    pub(super) fn set_default_link(&mut self, link: Link) {
        self.default = link;
        self.links.clear();
    }

    pub(super) fn set_link(&mut self, one: IpAddr, other: IpAddr, link: Link) {
        self.links.insert(pair(one, other), link);
    }
}

impl NetState {
    /// Sends a packet that arrives no earlier than `earliest`; returns when it arrives.
    pub(super) fn send(&mut self, packet: Packet, earliest: Duration) -> Duration {
        let bytes = match &packet.what {
            What::Segment(segment) => segment.piece.bytes.len(),
            _ => 0,
        };
        let (from, to) = (packet.from, packet.to);
        let arrives_at = self.arrival(from.ip(), to.ip(), bytes).max(earliest);
        self.counters.packets_sent += 1;
        if self.is_cut(from, to) {
            self.lose(from, to);
        } else {
            let delay = arrives_at.saturating_sub(sim::elapsed());
            self.after(delay, move |state| {
                if state.is_cut(from, to) {
                    state.lose(from, to);
                } else {
                    state.arrive(packet);
                }
            });
        }
        arrives_at
    }

    /// When a packet arrives that is sent now.
    pub(super) fn arrival(&mut self, from: IpAddr, to: IpAddr, bytes: usize) -> Duration {
        let link = self.wires.link(from, to);
        let (latency, rate) = (link.latency.clone(), link.bytes_per_second);
        let now = sim::elapsed();
        let sent_at = match rate {
            None => now,
            Some(rate) => {
                let bytes = (bytes + HEADER_BYTES) as u64;
                let takes = Duration::from_nanos(bytes * 1_000_000_000 / rate.max(1));
                let way = (from.to_canonical(), to.to_canonical());
                let busy_until = self.wires.busy_until.entry(way).or_default();
                *busy_until = now.max(*busy_until) + takes;
                *busy_until
            }
        };
        sent_at + self.random.duration(latency)
    }

    fn lose(&mut self, from: SocketAddr, to: SocketAddr) {
        self.counters.packets_lost += 1;
        sim::trace(|| format!("lost: {from} > {to}"));
        // The sender gets no answer. If the packet was an answer, its receiver gets none either.
        for ends in [(from, to), (to, from)] {
            if let Some(&key) = self.connections.get(&ends) {
                self.arm_retransmission(key);
            }
        }
    }
}

/// A pair of hosts, in either order.
pub(super) fn pair(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    (one.min(other), one.max(other))
}

/// The bytes of a packet besides its data: the headers of IP and of TCP without options.
const HEADER_BYTES: usize = 40;
