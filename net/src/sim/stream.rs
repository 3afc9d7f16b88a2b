//! One end of a simulated connection, TCP or Unix.
//!
//! What is written goes into the end's *outbox*. From there it travels in pieces, as far as the
//! other end has room, and arrives in its *inbox* in order. A piece that cannot get through (a
//! partition, a peer that vanished) is sent again, later and later, and holds up those behind it.
//!
//! The rules of ends and errors are Linux's, which the conformance tests compare with the real
//! sockets: `net/tests/conformance`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::{self, Device, Level};

use super::address::Name;
use super::state::State;

/// One end. The table of the network has both ends until both are closed, and what they sent has
/// arrived.
pub(crate) struct End {
    pub(super) number: u64,
    pub(super) local: RefCell<Name>,
    pub(super) remote: RefCell<Name>,
    pub(super) device: Device,
    peer: RefCell<Weak<End>>,
    state: RefCell<EndState>,
    /// Its machine is gone: nothing comes from it or reaches it any more.
    vanished: Cell<bool>,
    /// Kept for whoever asks.
    pub(crate) nodelay: Cell<bool>,
}

#[allow(clippy::struct_excessive_bools)] // the states of TCP that matter here, in any combination
struct EndState {
    phase: Phase,
    inbox: VecDeque<u8>,
    /// The peer will send no more; what is in the inbox comes before that.
    finished: bool,
    read_shut: bool,
    write_shut: bool,
    reset: bool,
    /// To be told once.
    error: Option<Errno>,
    /// Written and not on its way yet.
    outbox: VecDeque<u8>,
    /// The end of the stream follows the outbox, and is not on its way yet.
    fin_waits: bool,
    fin_arrived: bool,
    /// On its way, in order, with the time when it arrives.
    in_flight: VecDeque<(Duration, Segment)>,
    in_flight_bytes: usize,
    /// When the line is free for the next piece.
    line_free_at: Duration,
    last_arrival: Duration,
    /// The first piece got lost, and is sent again when this has passed.
    retransmission: Option<Duration>,
    /// Since when it gets lost.
    lost_since: Duration,
    /// A write did not fit: its writer is to hear of room.
    wants_room: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Open,
    /// Its owner has closed it.
    Closed,
}

enum Segment {
    Data(Vec<u8>),
    Fin,
    Reset,
}

impl End {
    pub(super) fn new(state: &State, kind: &str, local: Name, remote: Name) -> Rc<Self> {
        let end = Rc::new(Self {
            number: state.next_number(),
            device: Device::new(format!("{kind} {local} > {remote}")),
            local: RefCell::new(local),
            remote: RefCell::new(remote),
            peer: RefCell::default(),
            state: RefCell::new(EndState::new()),
            vanished: Cell::new(false),
            nodelay: Cell::new(false),
        });
        state.ends.borrow_mut().insert(end.number, Rc::clone(&end));
        end
    }

    /// Makes two ends each other's.
    pub(super) fn join(self: &Rc<Self>, peer: &Rc<Self>) {
        self.peer.replace(Rc::downgrade(peer));
        peer.peer.replace(Rc::downgrade(self));
    }

    /// The connection is there.
    pub(super) fn open(&self) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::Connecting {
            state.phase = Phase::Open;
            drop(state);
            self.changed();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().phase == Phase::Closed
    }

    pub(super) fn is_connected(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Open && (self.is_local() || !state.is_over())
    }

    pub(crate) fn name(&self) -> Name {
        self.local.borrow().clone()
    }

    pub(crate) fn remote(&self) -> Name {
        self.remote.borrow().clone()
    }

    /// The other end's name, if there is a connection.
    pub(crate) fn peer_name(&self) -> io::Result<Name> {
        if self.is_connected() { Ok(self.remote()) } else { Err(Errno::NOTCONN.into()) }
    }

    pub(crate) fn read(&self, buffer: &mut [u8], takes: bool) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let count = state.inbox.len().min(buffer.len());
        if count == 0 {
            return state.read_nothing(self.is_local());
        }
        let (first, second) = state.inbox.as_slices();
        let from_first = count.min(first.len());
        buffer[..from_first].copy_from_slice(&first[..from_first]);
        buffer[from_first..count].copy_from_slice(&second[..count - from_first]);
        if takes {
            state.inbox.drain(..count);
            drop(state);
            sim::note(|| format!("{self}: {count} bytes read"));
            self.device.set_level(self.level());
            // There is room again for what the peer has to send.
            if let Some(peer) = self.peer() {
                peer.pump();
                peer.has_room();
            }
        }
        Ok(count)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let network = State::current();
        let mut state = self.state.borrow_mut();
        state.check_write(self.is_local())?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let link = network.link_between(&self.local.borrow(), &self.remote.borrow());
        let room = if self.is_local() {
            let used = self.peer().map_or(0, |peer| peer.state.borrow().inbox.len());
            link.send_buffer_bytes.saturating_sub(used)
        } else {
            link.send_buffer_bytes.saturating_sub(state.outbox.len() + state.in_flight_bytes)
        };
        if room == 0 {
            state.wants_room = true;
            drop(state);
            self.device.set_level(self.level());
            return Err(Errno::AGAIN.into());
        }
        let mut count = room.min(bytes.len());
        if count > 1 && network.random.borrow_mut().chance(link.short_write_chance) {
            count = 1 + network.random.borrow_mut().index(count);
        }
        state.wants_room |= count == room && count < bytes.len();
        state.outbox.extend(&bytes[..count]);
        drop(state);
        sim::note(|| format!("{self}: {count} bytes written"));
        self.pump();
        self.device.set_level(self.level());
        Ok(count)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Open || state.is_over() && !self.is_local() {
            return Err(Errno::NOTCONN.into());
        }
        if how != Shutdown::Write {
            state.read_shut = true;
        }
        if how != Shutdown::Read && !state.write_shut {
            state.write_shut = true;
            state.fin_waits = !state.reset;
        }
        drop(state);
        sim::note(|| format!("{self}: shut down ({how:?})"));
        self.pump();
        self.changed();
        if self.is_local()
            && how != Shutdown::Write
            && let Some(peer) = self.peer()
        {
            peer.state.borrow_mut().write_shut = true;
            peer.changed();
        }
        Ok(())
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let error = self.state.borrow_mut().error.take();
        self.device.set_level(self.level());
        error.map(io::Error::from)
    }

    /// Its owner lets go of it.
    pub(super) fn close(&self) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::Closed {
            return;
        }
        let was_open = state.phase == Phase::Open;
        state.phase = Phase::Closed;
        if was_open && !state.reset {
            if state.inbox.is_empty() {
                state.fin_waits |= !state.write_shut;
                state.write_shut = true;
            } else {
                // What was not read is lost, and the peer is to know. What is on its way arrives.
                state.reset = true;
                state.outbox.clear();
                state.fin_waits = false;
            }
        }
        let unread = std::mem::take(&mut state.inbox).len();
        drop(state);
        sim::note(|| format!("{self}: closed, {unread} bytes unread"));
        if self.is_local() {
            self.leave_peer(unread > 0);
        } else if was_open && unread > 0 {
            self.send(Segment::Reset);
        } else {
            self.pump();
        }
        self.tidy();
    }

    /// The other end of a local connection hears of a close at once, and cannot write any more.
    fn leave_peer(&self, with_unread: bool) {
        let Some(peer) = self.peer() else { return };
        let mut state = peer.state.borrow_mut();
        state.finished = true;
        state.write_shut = true;
        if with_unread {
            state.error = Some(Errno::CONNRESET);
        }
        drop(state);
        self.state.borrow_mut().fin_waits = false;
        peer.changed();
    }

    /// Ends it as a reset from the peer does.
    pub(super) fn receive_reset(&self, error: Option<Errno>) {
        let mut state = self.state.borrow_mut();
        if state.reset {
            return;
        }
        let error = error.unwrap_or(match state.phase {
            Phase::Connecting => Errno::CONNREFUSED,
            _ if state.finished && !self.is_local() => Errno::PIPE,
            _ => Errno::CONNRESET,
        });
        state.abort();
        state.error = Some(error);
        drop(state);
        sim::note(|| format!("{self}: fails: {error}"));
        self.changed();
        self.tidy();
    }

    /// Ends the connection for both.
    pub(super) fn break_off(&self) {
        if let Some(peer) = self.peer() {
            peer.receive_reset(None);
        }
        self.receive_reset(None);
    }

    pub(super) fn vanish(&self) {
        self.vanished.set(true);
    }

    /// A connection within one machine, over no network.
    pub(super) fn is_local(&self) -> bool {
        matches!(*self.local.borrow(), Name::Unix(_))
    }

    pub(super) fn peer(&self) -> Option<Rc<Self>> {
        self.peer.borrow().upgrade()
    }

    /// Sends what there is room for on the other side.
    fn pump(&self) {
        let Some(peer) = self.peer() else { return self.tidy() };
        let network = State::current();
        let link = network.link_between(&self.local.borrow(), &self.remote.borrow());
        loop {
            let mut state = self.state.borrow_mut();
            if state.phase == Phase::Connecting || state.reset {
                return;
            }
            if state.outbox.is_empty() {
                if std::mem::take(&mut state.fin_waits) {
                    drop(state);
                    self.send(Segment::Fin);
                }
                return;
            }
            let arrived = peer.state.borrow().inbox.len();
            let window = if self.is_local() {
                state.outbox.len()
            } else {
                link.receive_buffer_bytes.saturating_sub(arrived + state.in_flight_bytes)
            };
            if window == 0 && peer.state.borrow().phase != Phase::Closed {
                return; // goes on when the peer reads
            }
            let (least, most) = (*link.segment_bytes.start(), *link.segment_bytes.end());
            let drawn = network.random.borrow_mut().range(least as u64..=most.max(least) as u64);
            let size = usize::try_from(drawn).unwrap_or(usize::MAX);
            let size = if self.is_local() { window } else { size.min(window.max(1)) };
            let count = size.clamp(1, state.outbox.len());
            let data: Vec<u8> = state.outbox.drain(..count).collect();
            state.in_flight_bytes += count;
            drop(state);
            self.send(Segment::Data(data));
        }
    }

    /// Puts a piece on its way, behind those that are.
    fn send(&self, segment: Segment) {
        let Some(this) = self.this() else { return };
        if self.is_local() {
            return self.deliver(segment);
        }
        let network = State::current();
        let link = network.link_between(&self.local.borrow(), &self.remote.borrow());
        let now = sim::elapsed();
        let mut state = self.state.borrow_mut();
        let bytes = if let Segment::Data(data) = &segment { data.len() } else { 0 };
        state.line_free_at = state.line_free_at.max(now) + link.transmission(bytes);
        let latency = network.random.borrow_mut().duration(link.latency.clone());
        let arrives_at = (state.line_free_at + latency).max(state.last_arrival);
        state.last_arrival = arrives_at;
        state.in_flight.push_back((arrives_at, segment));
        drop(state);
        sim::after(arrives_at.saturating_sub(now), move || this.arrive());
    }

    /// Hands over what has arrived by now.
    fn arrive(self: &Rc<Self>) {
        let now = sim::elapsed();
        loop {
            let mut state = self.state.borrow_mut();
            if state.retransmission.is_some() {
                return; // it comes behind what is lost
            }
            if state.in_flight.front().is_none_or(|(at, _)| *at > now) {
                return;
            }
            if self.is_cut_off() {
                if let Some((_, Segment::Reset)) = state.in_flight.front() {
                    state.in_flight.pop_front(); // nobody sends it again
                    continue;
                }
                state.retransmission = Some(RETRANSMISSION_MIN);
                state.lost_since = now;
                drop(state);
                return self.retransmit_later(RETRANSMISSION_MIN);
            }
            let Some((_, segment)) = state.in_flight.pop_front() else { return };
            drop(state);
            self.deliver(segment);
        }
    }

    fn retransmit_later(self: &Rc<Self>, pause: Duration) {
        sim::note(|| format!("{self}: lost; sent again in {pause:?}"));
        let this = Rc::clone(self);
        sim::after(pause, move || this.retransmit());
    }

    fn retransmit(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let Some(pause) = state.retransmission else { return };
        if !self.is_cut_off() {
            state.retransmission = None;
            drop(state);
            return self.arrive();
        }
        if sim::elapsed().saturating_sub(state.lost_since) >= RETRANSMISSION_GIVES_UP {
            drop(state);
            return self.receive_reset(Some(Errno::TIMEDOUT));
        }
        let pause = (pause * 2).min(RETRANSMISSION_MAX);
        state.retransmission = Some(pause);
        drop(state);
        self.retransmit_later(pause);
    }

    fn is_cut_off(&self) -> bool {
        let peer_vanished = self.peer().is_some_and(|peer| peer.vanished.get());
        peer_vanished || self.is_cut_off_alone()
    }

    /// Whether its own machine, or the way to the other end's, is gone.
    pub(super) fn is_cut_off_alone(&self) -> bool {
        self.vanished.get() || State::current().is_cut(&self.local.borrow(), &self.remote.borrow())
    }

    /// A piece is there.
    fn deliver(&self, segment: Segment) {
        let Some(peer) = self.peer() else { return };
        match segment {
            Segment::Data(data) => {
                let mut state = self.state.borrow_mut();
                state.in_flight_bytes -= data.len();
                drop(state);
                peer.receive(&data);
                self.has_room();
            }
            Segment::Fin => {
                sim::note(|| format!("{peer}: end of stream"));
                self.state.borrow_mut().fin_arrived = true;
                peer.state.borrow_mut().finished = true;
                peer.changed();
            }
            Segment::Reset => peer.receive_reset(None),
        }
        self.tidy();
        peer.tidy();
    }

    fn receive(&self, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::Closed {
            drop(state);
            // Nobody will read it.
            self.send(Segment::Reset);
            return;
        }
        if state.reset {
            return;
        }
        state.inbox.extend(data);
        let (arrived, unread) = (data.len(), state.inbox.len());
        drop(state);
        sim::note(|| format!("{self}: {arrived} bytes arrived, {unread} to read"));
        self.changed();
    }

    fn has_room(&self) {
        let wants = self.state.borrow().wants_room;
        self.device.set_level(self.level());
        if wants && self.level().writable {
            self.state.borrow_mut().wants_room = false;
            self.device.notify();
        }
    }

    /// What it is ready for may have changed: an edge.
    fn changed(&self) {
        self.device.set_level(self.level());
        self.device.notify();
    }

    fn level(&self) -> Level {
        let state = self.state.borrow();
        let failed = state.reset || state.error.is_some();
        let link = State::current().link_between(&self.local.borrow(), &self.remote.borrow());
        let used = if self.is_local() {
            self.peer().map_or(0, |peer| peer.state.borrow().inbox.len())
        } else {
            state.outbox.len() + state.in_flight_bytes
        };
        let roomy = link.send_buffer_bytes.saturating_sub(used) * 2 >= used.max(1);
        Level {
            readable: !state.inbox.is_empty() || state.finished || state.read_shut || failed,
            writable: failed || state.phase == Phase::Open && (roomy || state.write_shut),
            read_closed: state.finished || state.read_shut || state.reset,
        }
    }

    /// Leaves the table, with the other end, when there is nothing left to do for both.
    fn tidy(&self) {
        let peer = self.peer();
        if self.is_done() && peer.as_ref().is_none_or(|peer| peer.is_done()) {
            let network = State::current();
            let mut ends = network.ends.borrow_mut();
            ends.remove(&self.number);
            peer.and_then(|peer| ends.remove(&peer.number));
        }
    }

    fn is_done(&self) -> bool {
        let state = self.state.borrow();
        let sent = state.outbox.is_empty() && state.in_flight.is_empty() && !state.fin_waits;
        state.phase == Phase::Closed && sent
    }

    fn this(&self) -> Option<Rc<Self>> {
        State::current().ends.borrow().get(&self.number).cloned()
    }
}

impl EndState {
    fn new() -> Self {
        Self {
            phase: Phase::Connecting,
            inbox: VecDeque::new(),
            finished: false,
            read_shut: false,
            write_shut: false,
            reset: false,
            error: None,
            outbox: VecDeque::new(),
            fin_waits: false,
            fin_arrived: false,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            line_free_at: Duration::ZERO,
            last_arrival: Duration::ZERO,
            retransmission: None,
            lost_since: Duration::ZERO,
            wants_room: false,
        }
    }

    /// Both directions have ended.
    fn is_over(&self) -> bool {
        self.reset || self.finished && self.fin_arrived
    }

    /// What a read says when there are no bytes.
    fn read_nothing(&mut self, is_local: bool) -> io::Result<usize> {
        if !self.inbox.is_empty() {
            return Ok(0); // nothing was asked for
        }
        if self.finished && !is_local {
            return Ok(0);
        }
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.finished || self.read_shut || self.reset {
            return Ok(0);
        }
        Err(Errno::AGAIN.into())
    }

    fn check_write(&mut self, is_local: bool) -> io::Result<()> {
        if is_local && (self.write_shut || self.reset) {
            return Err(Errno::PIPE.into());
        }
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.write_shut || self.reset {
            return Err(Errno::PIPE.into());
        }
        if self.phase == Phase::Connecting {
            return Err(Errno::AGAIN.into());
        }
        Ok(())
    }

    /// Nothing further is sent; what was received stays.
    fn abort(&mut self) {
        self.reset = true;
        self.outbox.clear();
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.fin_waits = false;
        self.retransmission = None;
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.local.borrow(), self.remote.borrow())
    }
}

// Linux's timing: RFC 6298 with the kernel's bounds.
const RETRANSMISSION_MIN: Duration = Duration::from_millis(200);
const RETRANSMISSION_MAX: Duration = Duration::from_secs(120);
/// What 15 retransmissions (`net.ipv4.tcp_retries2`) come to.
const RETRANSMISSION_GIVES_UP: Duration = Duration::from_secs(924);
