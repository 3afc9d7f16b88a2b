//! A packet that arrives at an end of a TCP connection, and the packets that the end sends by
//! itself.

use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim;

use super::pipe::Piece;
use super::table::{NetState, SocketKey};
use super::tcp::{Tcp, TcpPhase};
use super::wire::{Packet, Segment, What};

impl NetState {
    /// A packet has arrived at its destination.
    pub(super) fn arrive(&mut self, packet: Packet) {
        let Some(&key) = self.connections.get(&(packet.to, packet.from)) else {
            return self.arrive_at_no_socket(&packet);
        };
        match (self.tcp(key).phase, packet.what) {
            (_, What::Reset) => self.arrive_reset(key),
            (TcpPhase::Connecting, What::SynAck(window)) => {
                self.open(key, window);
                self.counters.connected += 1;
                self.note(key, || "is connected".to_owned());
                self.acknowledge(key);
            }
            // The answer was lost, or its acknowledgement.
            (TcpPhase::Answering { .. }, What::Syn(_)) => {
                self.send_from(key, |tcp| What::SynAck(tcp.room()));
            }
            (TcpPhase::Open | TcpPhase::Over, What::SynAck(_)) => self.acknowledge(key),
            (TcpPhase::Answering { listener }, What::Segment(segment)) => {
                self.tcp_mut(key).phase = TcpPhase::Open;
                self.tcp_mut(key).stop_retransmission();
                self.enqueue(listener, key);
                self.update(key, false);
                self.arrive_segment(key, segment);
            }
            (TcpPhase::Open | TcpPhase::Over, What::Segment(segment)) => {
                self.arrive_segment(key, segment);
            }
            // A late packet of an older connection with the same addresses.
            (_, What::Syn(_) | What::SynAck(_) | What::Segment(_)) => {}
        }
    }

    fn arrive_at_no_socket(&mut self, packet: &Packet) {
        match packet.what {
            What::Reset => {}
            What::Syn(window) => self.arrive_syn(packet, window),
            What::SynAck(_) | What::Segment(_) => {
                sim::trace(|| format!("no socket there: {} > {}", packet.from, packet.to));
                self.send_reset(packet.to, packet.from, Duration::ZERO);
            }
        }
    }

    fn open(&mut self, key: SocketKey, window: u64) {
        let tcp = self.tcp_mut(key);
        tcp.phase = TcpPhase::Open;
        tcp.set_window(window);
        tcp.stop_retransmission();
        self.update(key, true);
    }

    fn arrive_segment(&mut self, key: SocketKey, segment: Segment) {
        let Segment { piece, acknowledgement, is_probe } = segment;
        if self.is_orphan(key) && self.tcp(key).incoming.is_new(&piece) {
            // The program has closed its end, so nothing reads the data.
            return self.abort(key);
        }
        let tcp = self.tcp_mut(key);
        let is_progress = tcp.outgoing.acknowledge(acknowledgement);
        let arrival = tcp.incoming.arrive(&piece);
        if arrival.bytes > 0 {
            self.counters.bytes_delivered += arrival.bytes as u64;
            self.note(key, || format!("{} bytes arrive", arrival.bytes));
        }
        if arrival.end {
            self.note(key, || "the end of the stream arrives".to_owned());
        }
        if !piece.bytes.is_empty() || piece.is_end || is_probe {
            self.acknowledge(key);
        }
        if is_progress {
            let was_armed = self.tcp_mut(key).stop_retransmission();
            if was_armed {
                // A packet that is still unanswered was lost.
                self.arm_retransmission(key);
            }
        }
        self.pump(key);
        self.update(key, arrival.bytes > 0 || arrival.end);
        self.settle(key);
    }

    /// A reset has arrived.
    pub(super) fn arrive_reset(&mut self, key: SocketKey) {
        self.note(key, || "RST arrives".to_owned());
        let tcp = self.tcp(key);
        let ended_by_peer = tcp.incoming.end_arrived() && !tcp.outgoing.is_finished();
        let error = match tcp.phase {
            TcpPhase::Connecting => Errno::CONNREFUSED,
            TcpPhase::Over => return self.forget(key),
            _ if ended_by_peer => Errno::PIPE,
            _ => Errno::CONNRESET,
        };
        self.counters.reset += 1;
        self.fail(key, error);
    }

    /// The connection ends early.
    pub(super) fn fail(&mut self, key: SocketKey, error: Errno) {
        let tcp = self.tcp_mut(key);
        if !matches!(tcp.phase, TcpPhase::Answering { .. }) {
            tcp.phase = TcpPhase::Over;
        }
        tcp.error = Some(error);
        tcp.outgoing.discard();
        tcp.stop_retransmission();
        self.forget(key);
        if self.sockets.contains_key(key) {
            self.update(key, true);
        }
    }

    /// Sends all pieces that may be sent.
    pub(super) fn pump(&mut self, key: SocketKey) {
        loop {
            let tcp = self.tcp(key);
            if tcp.phase != TcpPhase::Open || tcp.retransmission.is_armed {
                return;
            }
            if !tcp.outgoing.has_piece() {
                return;
            }
            let sizes = self.wires.link(tcp.local.ip(), tcp.remote.ip()).segment_bytes.clone();
            let bytes_max = self.random.range(*sizes.start() as u64..=*sizes.end() as u64);
            let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
            let Some(piece) = self.tcp_mut(key).outgoing.next_piece(bytes_max) else { return };
            self.send_segment(key, piece);
        }
    }

    /// Tells the peer what has arrived, and how much more it may send.
    pub(super) fn acknowledge(&mut self, key: SocketKey) {
        self.send_segment(key, Piece { first: 0, bytes: Vec::new(), is_end: false });
    }

    fn send_segment(&mut self, key: SocketKey, piece: Piece) {
        self.send_from(key, |tcp| {
            let acknowledgement = tcp.incoming.acknowledgement();
            What::Segment(Segment { piece, acknowledgement, is_probe: false })
        });
    }

    /// When both directions are closed, or one direction of an orphan, the connection lasts for one
    /// more minute, in which a peer that missed the last packet can get it again.
    pub(super) fn settle(&mut self, key: SocketKey) {
        let is_orphan = self.is_orphan(key);
        let tcp = self.tcp_mut(key);
        let has_ended = tcp.outgoing.is_over();
        let is_over = has_ended && tcp.incoming.end_arrived();
        if is_over && tcp.phase == TcpPhase::Open {
            tcp.phase = TcpPhase::Over;
            self.update(key, true);
        }
        let tcp = self.tcp_mut(key);
        if (is_over || (is_orphan && has_ended)) && !tcp.is_leaving {
            tcp.is_leaving = true;
            self.after(LEAVING_TIME, move |state| {
                if state.sockets.contains_key(key) {
                    state.forget(key);
                }
            });
        }
    }
}

impl Tcp {
    /// The peer has room for that many bytes.
    pub(super) fn set_window(&mut self, window: u64) {
        let acknowledgement = super::pipe::Acknowledgement { next: 0, window_end: window };
        self.outgoing.acknowledge(acknowledgement);
    }
}

/// How long Linux remembers a connection that is over (`TCP_TIMEWAIT_LEN`), and an orphan whose
/// peer does not close (`tcp_fin_timeout`).
const LEAVING_TIME: Duration = Duration::from_secs(60);
