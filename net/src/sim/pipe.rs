//! One direction of a connection: the sender's buffer, until the bytes are acknowledged, and the
//! receiver's buffer, until they are read.
//!
//! Bytes are counted from 0, and the end of the stream counts as one more. The sender sends no byte
//! beyond the receiver's window, so every byte that arrives fits. Lost bytes are sent again from
//! the first byte that is not acknowledged (`rewind`). Bytes that arrive twice, or after a gap, are
//! ignored.
//!
//! Neither half knows a network or a clock.

use std::collections::VecDeque;

/// The sender's half.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // flags in any combination
pub(super) struct Outgoing {
    /// Written, and not acknowledged. The first byte's number is `acknowledged`.
    buffer: VecDeque<u8>,
    /// `buffer.len() <= capacity`
    capacity: usize,
    /// The capacity grows up to this while the program fills the buffer, as on Linux.
    capacity_max: usize,
    /// How many unsent bytes may wait: beyond that there is no room.
    notsent_max: usize,
    /// A write found less room than it asked for, and nothing was acknowledged since.
    is_filled: bool,
    /// Every byte below it has arrived.
    acknowledged: u64,
    /// The next byte to be sent: `acknowledged <= next <= end()`.
    next: u64,
    /// The receiver has room for bytes below it.
    window_end: u64,
    /// The program will write no more.
    is_finished: bool,
    end_sent: bool,
    end_acknowledged: bool,
}

/// The receiver's half.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Bytes that have arrived and were not read.
    buffer: VecDeque<u8>,
    /// `buffer.len() <= capacity`
    capacity: usize,
    /// The next byte to arrive.
    next: u64,
    end_arrived: bool,
    /// The window that the sender knows: it may send bytes below this number.
    advertised: u64,
}

/// A piece of the stream that travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u64,
    pub(super) bytes: Vec<u8>,
    /// The stream ends after the bytes.
    pub(super) is_end: bool,
}

/// The receiver's message to the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    /// Every byte below it has arrived; the end counts as one.
    pub(super) next: u64,
    pub(super) window_end: u64,
}

/// The effect of an arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) bytes: usize,
    pub(super) end: bool,
}

impl Outgoing {
    /// The receiver has granted `window` bytes so far.
    pub(super) fn new(capacity: usize, capacity_max: usize, window: u64) -> Self {
        Self {
            buffer: VecDeque::new(),
            capacity: capacity.max(1),
            capacity_max,
            notsent_max: usize::MAX,
            is_filled: false,
            acknowledged: 0,
            next: 0,
            window_end: window,
            is_finished: false,
            end_sent: false,
            end_acknowledged: false,
        }
    }

    /// Sets the capacity, which grows no more.
    pub(super) fn fix_capacity(&mut self, bytes: usize) {
        self.capacity = bytes.max(1);
        self.capacity_max = self.capacity;
    }

    pub(super) fn set_notsent_max(&mut self, bytes: usize) {
        self.notsent_max = bytes.max(1);
    }

    /// Takes as many bytes as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        debug_assert!(!self.is_finished, "a write after the end");
        let count = bytes.len().min(self.room());
        self.buffer.extend(&bytes[..count]);
        count
    }

    /// The program will write no more.
    pub(super) fn finish(&mut self) {
        self.is_finished = true;
    }

    /// The next piece to be sent, of at most `bytes_max` bytes; `None` if nothing may be sent.
    pub(super) fn next_piece(&mut self, bytes_max: usize) -> Option<Piece> {
        let sendable = self.end().min(self.window_end).saturating_sub(self.next);
        let count = length(sendable).min(bytes_max.max(1));
        let is_end = self.is_finished && !self.end_sent && self.next + count as u64 == self.end();
        if count == 0 && !is_end {
            return None;
        }
        let first = self.next;
        let skipped = length(first - self.acknowledged);
        let bytes = self.buffer.range(skipped..skipped + count).copied().collect();
        self.next += count as u64;
        self.end_sent |= is_end;
        Some(Piece { first, bytes, is_end })
    }

    /// Takes an acknowledgement; returns whether it is news.
    pub(super) fn acknowledge(&mut self, acknowledgement: Acknowledgement) -> bool {
        let end = self.end();
        let count = acknowledgement.next.min(end).saturating_sub(self.acknowledged);
        self.buffer.drain(..length(count));
        self.acknowledged += count;
        self.next = self.next.max(self.acknowledged);
        if count > 0 && std::mem::take(&mut self.is_filled) {
            self.capacity =
                self.capacity.max(self.capacity.saturating_mul(2).min(self.capacity_max));
        }
        let is_end = self.is_finished && acknowledgement.next > end && !self.end_acknowledged;
        if is_end {
            self.end_sent = true;
            self.end_acknowledged = true;
        }
        let is_wider = acknowledgement.window_end > self.window_end;
        self.window_end = self.window_end.max(acknowledgement.window_end);
        count > 0 || is_end || is_wider
    }

    /// Starts to send everything again that is not acknowledged.
    pub(super) fn rewind(&mut self) {
        self.next = self.acknowledged;
        self.end_sent = self.end_acknowledged;
    }

    /// Forgets the bytes that were not sent, or not acknowledged.
    pub(super) fn discard(&mut self) {
        self.acknowledged = self.end();
        self.next = self.acknowledged;
        self.buffer = VecDeque::new();
    }

    /// How many bytes were written and not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.buffer.len() as u64
    }

    pub(super) fn room(&self) -> usize {
        let free = self.capacity - self.buffer.len();
        free.min(self.notsent_max.saturating_sub(self.notsent()))
    }

    /// A program has asked for more room than there is.
    pub(super) fn note_filled(&mut self) {
        self.is_filled = true;
    }

    /// Whether there is so much room that a waiting writer is to be woken: a third of the capacity
    /// is free, as on Linux, and at most half of what may wait unsent is taken.
    pub(super) fn has_ample_room(&self) -> bool {
        let free = self.capacity - self.buffer.len();
        self.room() > 0
            && free.saturating_mul(3) >= self.capacity
            && self.notsent().saturating_mul(2) < self.notsent_max
    }

    fn notsent(&self) -> usize {
        length(self.end() - self.next)
    }

    /// Whether a piece may be sent now.
    pub(super) fn has_piece(&self) -> bool {
        let has_bytes = self.next < self.end().min(self.window_end);
        has_bytes || (self.is_finished && !self.end_sent && self.next == self.end())
    }

    /// Whether sent bytes are not acknowledged yet.
    pub(super) fn is_outstanding(&self) -> bool {
        self.next > self.acknowledged || (self.end_sent && !self.end_acknowledged)
    }

    /// Whether bytes wait because the receiver has no room.
    pub(super) fn is_stalled(&self) -> bool {
        self.next < self.end() && self.window_end <= self.next
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Whether every byte and the end have arrived.
    pub(super) fn is_over(&self) -> bool {
        self.end_acknowledged
    }

    fn end(&self) -> u64 {
        self.acknowledged + self.buffer.len() as u64
    }
}

impl Incoming {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            buffer: VecDeque::new(),
            capacity,
            next: 0,
            end_arrived: false,
            advertised: capacity as u64,
        }
    }

    pub(super) fn arrive(&mut self, piece: &Piece) -> Arrival {
        let Some(known) = self.next.checked_sub(piece.first) else {
            return Arrival::default(); // a piece before it is missing
        };
        let known = length(known).min(piece.bytes.len());
        let new = &piece.bytes[known..];
        debug_assert!(
            new.len() <= self.capacity - self.buffer.len(),
            "more than there is room for"
        );
        self.buffer.extend(new);
        self.next += new.len() as u64;
        let end = piece.is_end && !self.end_arrived;
        self.end_arrived |= end;
        Arrival { bytes: new.len(), end }
    }

    /// Whether the piece would bring new bytes.
    pub(super) fn is_new(&self, piece: &Piece) -> bool {
        piece.first + piece.bytes.len() as u64 > self.next
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek(buffer);
        self.buffer.drain(..count);
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BYTES_MAX {
            self.buffer = VecDeque::new();
        }
        count
    }

    pub(super) fn peek(&self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.buffer.len());
        let (first, second) = self.buffer.as_slices();
        let split = count.min(first.len());
        buffer[..split].copy_from_slice(&first[..split]);
        buffer[split..count].copy_from_slice(&second[..count - split]);
        count
    }

    /// How many bytes can be read.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn end_arrived(&self) -> bool {
        self.end_arrived
    }

    /// The message to the sender now.
    pub(super) fn acknowledgement(&mut self) -> Acknowledgement {
        let room = self.capacity - self.buffer.len();
        self.advertised = self.next + room as u64;
        Acknowledgement {
            next: self.next + u64::from(self.end_arrived),
            window_end: self.advertised,
        }
    }

    /// Whether so much was read that the sender is to be told of the room (RFC 9293, section
    /// 3.8.6.2.2).
    pub(super) fn has_news_of_room(&self) -> bool {
        let room = self.capacity - self.buffer.len();
        let gained = self.next + room as u64 - self.advertised;
        !self.end_arrived && gained >= (self.capacity as u64 / 2).max(1)
    }
}

/// A number of bytes as an index; it is never more than memory can hold.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// An empty buffer keeps at most this much memory, as simulations have many connections. Arbitrary.
const IDLE_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, QuickCheck};

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u8),
        Read(u8),
        /// Sends a piece of at most so many bytes.
        Send(u8),
        /// The oldest piece on its way arrives, or is lost.
        Deliver(bool),
        /// The receiver's message arrives, or is lost.
        Acknowledge(bool),
        Rewind,
    }

    impl Arbitrary for Step {
        fn arbitrary(generator: &mut Gen) -> Self {
            let size = u8::arbitrary(generator);
            let arrives = size % 8 > 0;
            match u8::arbitrary(generator) % 12 {
                0..=2 => Self::Write(size),
                3..=4 => Self::Read(size),
                5..=6 => Self::Send(size),
                7..=8 => Self::Deliver(arrives),
                9..=10 => Self::Acknowledge(arrives),
                _ => Self::Rewind,
            }
        }
    }

    /// Both halves, and the packets between them.
    struct Model {
        outgoing: Outgoing,
        incoming: Incoming,
        on_the_way: VecDeque<Piece>,
        written: Vec<u8>,
        read: Vec<u8>,
    }

    impl Model {
        fn new(send_bytes: usize, receive_bytes: usize) -> Self {
            Self {
                outgoing: Outgoing::new(send_bytes, 4 * send_bytes, receive_bytes.max(1) as u64),
                incoming: Incoming::new(receive_bytes),
                on_the_way: VecDeque::new(),
                written: Vec::new(),
                read: Vec::new(),
            }
        }

        fn step(&mut self, step: &Step) {
            match *step {
                Step::Write(count) if !self.outgoing.is_finished() => {
                    let first = self.written.len();
                    let bytes: Vec<u8> = (first..first + usize::from(count))
                        .map(|byte| byte.to_le_bytes()[0])
                        .collect();
                    let taken = self.outgoing.write(&bytes);
                    if taken < bytes.len() {
                        self.outgoing.note_filled();
                    }
                    self.written.extend(&bytes[..taken]);
                }
                Step::Write(_) => {}
                Step::Read(count) => {
                    let mut buffer = vec![0; count.into()];
                    let count = self.incoming.read(&mut buffer);
                    self.read.extend(&buffer[..count]);
                }
                Step::Send(count) => {
                    self.on_the_way.extend(self.outgoing.next_piece(count.into()));
                }
                Step::Deliver(arrives) => {
                    if let Some(piece) = self.on_the_way.pop_front()
                        && arrives
                    {
                        self.incoming.arrive(&piece);
                    }
                }
                Step::Acknowledge(arrives) => {
                    let acknowledgement = self.incoming.acknowledgement();
                    if arrives {
                        self.outgoing.acknowledge(acknowledgement);
                    }
                }
                Step::Rewind => self.outgoing.rewind(),
            }
            assert!(self.outgoing.buffer.len() <= self.outgoing.capacity);
            assert!(self.incoming.buffer.len() <= self.incoming.capacity);
            assert!(self.written.starts_with(&self.read), "in the order of the writes");
        }
    }

    #[test]
    fn whatever_is_lost_all_bytes_arrive_in_their_order_and_then_the_end() {
        #[allow(clippy::needless_pass_by_value)] // quickcheck's signature
        fn property(send_bytes: u8, receive_bytes: u8, steps: Vec<Step>) {
            let mut model = Model::new(send_bytes.into(), receive_bytes.into());
            steps.iter().for_each(|step| model.step(step));
            model.outgoing.finish();
            steps.iter().for_each(|step| model.step(step));
            // From now on no packet is lost.
            let mut rounds = 0;
            while !model.outgoing.is_over() {
                assert!(model.outgoing.buffer.is_empty() || rounds < 10_000, "no end");
                let settle =
                    [Step::Rewind, Step::Send(255), Step::Deliver(true), Step::Acknowledge(true)];
                settle.iter().for_each(|step| model.step(step));
                model.step(&Step::Read(255));
                rounds += 1;
            }
            model.step(&Step::Read(255));
            assert_eq!(model.read, model.written);
            assert!(model.incoming.end_arrived());
        }
        QuickCheck::new().tests(500).quickcheck(property as fn(u8, u8, Vec<Step>));
    }

    #[test]
    fn a_receiver_that_has_read_enough_reports_the_room() {
        let mut model = Model::new(100, 10);
        model.step(&Step::Write(50));
        model.step(&Step::Send(50));
        model.step(&Step::Deliver(true));
        model.step(&Step::Acknowledge(true));
        assert!(model.outgoing.is_stalled());
        model.step(&Step::Read(4));
        assert!(!model.incoming.has_news_of_room());
        model.step(&Step::Read(1));
        assert!(model.incoming.has_news_of_room());
        model.step(&Step::Acknowledge(true));
        assert!(!model.outgoing.is_stalled() && !model.incoming.has_news_of_room());
    }

    #[test]
    fn the_end_is_reported_once() {
        let mut incoming = Incoming::new(10);
        let piece = Piece { first: 0, bytes: vec![1], is_end: true };
        assert_eq!(incoming.arrive(&piece), Arrival { bytes: 1, end: true });
        assert_eq!(incoming.arrive(&piece), Arrival::default());
        assert_eq!(incoming.acknowledgement().next, 2);
    }
}
