//! When a connection sends unanswered packets again, and when it gives up.
//!
//! As Linux with its defaults: the first attempt comes after 200 ms and one round trip. Each
//! further attempt takes twice the time of the one before, two minutes at most, sixteen in all
//! (`tcp_retries2`): a quarter of an hour. A handshake begins with one second, and is given up
//! after 127 seconds (`tcp_syn_retries`).
//!
//! The timer runs only when a packet was lost, see `wire`.

use std::time::Duration;

use rustix::io::Errno;

use super::pipe::Piece;
use super::table::{NetState, SocketKey, SocketKind};
use super::tcp::{Tcp, TcpPhase};
use super::wire::{Segment, What};

#[derive(Debug, Default)]
pub(super) struct Retransmission {
    /// The timer runs. Until it fires, nothing new is sent.
    pub(super) is_armed: bool,
    /// The number of the timer that runs: a stopped timer that fires has another one.
    generation: u64,
    /// How often it has fired since the last answer.
    attempts: u32,
    /// How long the timer runs, once there was an attempt.
    timeout: Duration,
}

impl Tcp {
    /// The peer has answered: the attempts begin afresh. Returns whether a timer ran.
    pub(super) fn stop_retransmission(&mut self) -> bool {
        let generation = self.retransmission.generation + 1;
        let before = std::mem::take(&mut self.retransmission);
        self.retransmission.generation = generation;
        before.is_armed
    }

    pub(super) fn awaits_answer(&self) -> bool {
        match self.phase {
            TcpPhase::Connecting | TcpPhase::Answering { .. } => true,
            TcpPhase::Open => self.outgoing.is_outstanding() || self.outgoing.is_stalled(),
            TcpPhase::Over => false,
        }
    }

    fn attempts_max(&self) -> u32 {
        match self.phase {
            TcpPhase::Connecting => CONNECT_ATTEMPTS_MAX,
            TcpPhase::Answering { .. } => ANSWER_ATTEMPTS_MAX,
            TcpPhase::Open | TcpPhase::Over => ATTEMPTS_MAX,
        }
    }
}

impl NetState {
    /// A packet was lost whose answer the connection may wait for.
    pub(super) fn arm_retransmission(&mut self, key: SocketKey) {
        let tcp = self.tcp(key);
        if tcp.retransmission.is_armed || !tcp.awaits_answer() {
            return;
        }
        let latency = *self.wires.link(tcp.local.ip(), tcp.remote.ip()).latency.end();
        let tcp = self.tcp_mut(key);
        if tcp.retransmission.attempts == 0 {
            tcp.retransmission.timeout = match tcp.phase {
                TcpPhase::Open | TcpPhase::Over => TIMEOUT_MIN + 2 * latency,
                TcpPhase::Connecting | TcpPhase::Answering { .. } => HANDSHAKE_TIMEOUT,
            };
        }
        tcp.retransmission.is_armed = true;
        tcp.retransmission.generation += 1;
        let Retransmission { generation, timeout, .. } = tcp.retransmission;
        self.after(timeout, move |state| state.retransmit(key, generation));
    }

    /// Starts the timers of connections that will get no answer any more, and would never know.
    pub(super) fn arm_stalled(&mut self) {
        let cut: Vec<SocketKey> = self
            .connections
            .iter()
            .filter(|(ends, _)| self.is_cut(ends.0, ends.1))
            .map(|(_, &key)| key)
            .collect();
        for key in cut {
            if self.tcp(key).outgoing.is_stalled() {
                self.arm_retransmission(key);
            }
        }
    }

    fn retransmit(&mut self, key: SocketKey, generation: u64) {
        let Some(SocketKind::Tcp(tcp)) = self.sockets.get_mut(key).map(|entry| &mut entry.kind)
        else {
            return;
        };
        if tcp.retransmission.generation != generation {
            return;
        }
        tcp.retransmission.is_armed = false;
        if tcp.retransmission.attempts == tcp.attempts_max() {
            return self.give_up(key);
        }
        tcp.retransmission.attempts += 1;
        tcp.retransmission.timeout = (2 * tcp.retransmission.timeout).min(TIMEOUT_MAX);
        let (phase, attempt) = (tcp.phase, tcp.retransmission.attempts);
        tcp.outgoing.rewind();
        let is_stalled = tcp.outgoing.is_stalled();
        self.note(key, || format!("sends again, for the {attempt}. time"));
        match phase {
            TcpPhase::Connecting => self.send_from(key, |tcp| What::Syn(tcp.room())),
            TcpPhase::Answering { .. } => self.send_from(key, |tcp| What::SynAck(tcp.room())),
            TcpPhase::Open if is_stalled => self.send_from(key, |tcp| {
                let acknowledgement = tcp.incoming.acknowledgement();
                let piece = Piece { first: 0, bytes: Vec::new(), is_end: false };
                What::Segment(Segment { piece, acknowledgement, is_probe: true })
            }),
            TcpPhase::Open => self.pump(key),
            TcpPhase::Over => {}
        }
    }

    fn give_up(&mut self, key: SocketKey) {
        self.note(key, || "gives up".to_owned());
        self.counters.timed_out += 1;
        self.fail(key, Errno::TIMEDOUT);
    }
}

/// The shortest time that Linux waits, beside the round trip (`TCP_RTO_MIN`).
const TIMEOUT_MIN: Duration = Duration::from_millis(200);

/// The longest time that Linux waits (`TCP_RTO_MAX`).
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// The first timeout of a handshake (RFC 6298, section 2).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Linux's `tcp_retries2`.
const ATTEMPTS_MAX: u32 = 15;

/// Linux's `tcp_syn_retries`.
const CONNECT_ATTEMPTS_MAX: u32 = 6;

/// Linux's `tcp_synack_retries`.
const ANSWER_ATTEMPTS_MAX: u32 = 5;
