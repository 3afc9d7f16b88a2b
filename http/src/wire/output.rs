//! What waits to be written to the client, and how far that has come.
//!
//! Responses are encoded into one buffer, and leave together. While one fiber of a handler writes
//! the buffer out, another may add to its end. So three things hold:
//!
//! - the buffer is never borrowed across a wait;
//! - one fiber at a time has the *turn* to write, and what it has written goes from the front of
//!   the buffer when the turn ends, also where a deadline ends it: what has left must not leave
//!   again;
//! - the buffer's memory is the output's while the connection works, and the pool's while it rests.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice};
use std::mem;
use std::rc::Rc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use straightline_sched::sync::Event;

use super::transport::Transport;
use crate::proto::{begin_chunk, end_chunk, put_chunk_size, put_last_chunk};

/// A connection's output.
pub(crate) struct Output {
    buffer: RefCell<OutputBuffer>,
    /// A fiber writes the buffer out, and what is added meanwhile too.
    is_being_written: Cell<bool>,
    /// The end of that, for a fiber that waits for its turn to write.
    turn_over: Cell<Option<Rc<Event>>>,
    /// The output leaves if the fiber waits, which is arranged for once at a time.
    leaves_before_park: Cell<bool>,
    /// How many responses wait to leave, and when the request of the first of them began.
    unsent: Cell<u32>,
    unsent_since: Cell<Instant>,
}

/// What waits to be written.
pub(crate) struct OutputBuffer {
    bytes: Vec<u8>,
    /// Where the chunk begins that is being filled, if one is. What is written ends it, so that
    /// nothing is held back.
    chunk: Option<usize>,
    /// How many bytes of the body at hand are no data of it.
    framing: u64,
    /// How many bytes have left, of the buffer and others.
    written: u64,
}

impl Output {
    pub(super) fn new(now: Instant) -> Self {
        let buffer = OutputBuffer { bytes: Vec::new(), chunk: None, framing: 0, written: 0 };
        Self {
            buffer: RefCell::new(buffer),
            is_being_written: Cell::new(false),
            turn_over: Cell::new(None),
            leaves_before_park: Cell::new(false),
            unsent: Cell::new(0),
            unsent_since: Cell::new(now),
        }
    }

    /// The connection works, and has this memory for what waits to leave.
    #[inline]
    pub(crate) fn begin(&self, memory: Vec<u8>) {
        debug_assert!(memory.is_empty() && self.is_empty(), "a response of another connection");
        self.buffer.borrow_mut().bytes = memory;
    }

    /// The connection rests, or is over: returns the memory.
    #[inline]
    pub(crate) fn end(&self) -> Vec<u8> {
        mem::take(&mut self.buffer.borrow_mut().bytes)
    }

    /// What waits to leave, to add to it.
    #[inline]
    pub(crate) fn buffer(&self) -> RefMut<'_, OutputBuffer> {
        self.buffer.borrow_mut()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.borrow().bytes.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.borrow().bytes.is_empty()
    }

    /// How much memory it takes.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.borrow().bytes.capacity()
    }

    /// How many bytes the client has been sent, those that wait included.
    pub(crate) fn position(&self) -> u64 {
        self.buffer.borrow().position()
    }

    /// How many bytes of data a body has that begins at that position, as far as it was made.
    pub(crate) fn body_bytes(&self, body_at: u64) -> u64 {
        let buffer = self.buffer.borrow();
        buffer.position().saturating_sub(body_at).saturating_sub(buffer.framing)
    }

    /// Takes back what was added since it was at that position, if nothing of it has left.
    pub(crate) fn rollback(&self, position: u64) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        let Some(kept) = position.checked_sub(buffer.written) else { return false };
        buffer.chunk = None;
        buffer.bytes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        true
    }

    /// Drops what has not left.
    pub(crate) fn clear(&self) {
        let mut buffer = self.buffer.borrow_mut();
        buffer.chunk = None;
        buffer.bytes.clear();
    }

    /// Whether a flush before the fiber waits still has to be arranged for; it is from now on.
    pub(super) fn arrange_flush(&self) -> bool {
        !self.leaves_before_park.replace(true)
    }

    /// That flush begins, and the next has to be arranged for anew.
    pub(super) fn begin_arranged_flush(&self) {
        self.leaves_before_park.set(false);
    }

    /// A response is complete, of a request that began then.
    #[inline]
    pub(super) fn record_response(&self, begun: Instant) {
        let count = self.unsent.get();
        if count == 0 {
            self.unsent_since.set(begun);
        }
        self.unsent.set(count + 1);
    }

    /// All responses have left: when the request of the first of them began, and how many they are;
    /// `None` if that was asked before.
    #[inline]
    pub(super) fn take_sent(&self) -> Option<(Instant, u32)> {
        if self.unsent.get() == 0 {
            return None;
        }
        Some((self.unsent_since.get(), self.unsent.replace(0)))
    }

    /// Whether a fiber has the turn to write.
    pub(super) fn is_being_written(&self) -> bool {
        self.is_being_written.get()
    }

    /// Waits until no other fiber writes, and takes the turn.
    ///
    /// A yield point.
    pub(super) fn take_turn(&self) -> io::Result<Turn<'_>> {
        while self.is_being_written.get() {
            let over = self.turn_over.take().unwrap_or_default();
            self.turn_over.set(Some(Rc::clone(&over)));
            over.wait()?;
        }
        self.is_being_written.set(true);
        Ok(Turn { output: self, written: 0 })
    }

    /// Bytes have left that were never in the buffer.
    pub(super) fn record_written(&self, count: usize) {
        self.buffer.borrow_mut().written += count as u64;
    }
}

impl OutputBuffer {
    /// All of it. What is added is neither a chunk's nor framing, see below.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    fn position(&self) -> u64 {
        self.written + self.bytes.len() as u64
    }

    /// What is added from now on is a response's body: returns its position.
    #[inline]
    pub(crate) fn begin_body(&mut self) -> u64 {
        self.framing = 0;
        self.position()
    }

    /// Adds data to the chunk that is being filled, or begins one.
    pub(super) fn fill_chunk(&mut self, data: &[u8]) {
        if self.chunk.is_none() {
            self.chunk = Some(self.frame(begin_chunk));
        }
        self.bytes.extend_from_slice(data);
    }

    /// Ends the chunk that is being filled, if one is.
    #[inline]
    fn end_chunk(&mut self) {
        if let Some(start) = self.chunk {
            self.chunk = None;
            // The size line may become shorter than the room for it.
            self.frame(|bytes| end_chunk(bytes, start));
        }
    }

    /// Begins a chunk of so many bytes, which are not added here.
    pub(super) fn begin_large_chunk(&mut self, bytes: usize) {
        self.end_chunk();
        self.frame(|output| put_chunk_size(output, bytes));
    }

    /// That chunk has left.
    pub(super) fn end_large_chunk(&mut self) {
        self.frame(|output| output.extend_from_slice(b"\r\n"));
    }

    /// Ends a chunked body.
    pub(super) fn end_chunks(&mut self, trailers: &[(HeaderName, HeaderValue)]) {
        self.end_chunk();
        self.frame(|output| put_last_chunk(output, trailers));
    }

    /// Puts what is no data of the body.
    fn frame<T>(&mut self, put: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.bytes.len() as u64;
        let result = put(&mut self.bytes);
        let after = self.bytes.len() as u64;
        self.framing = self.framing.wrapping_add(after).wrapping_sub(before);
        result
    }
}

/// A fiber's turn to write; what was written goes from the buffer when this is dropped.
pub(super) struct Turn<'o> {
    output: &'o Output,
    /// How many bytes, of the buffer and then of what follows it.
    written: usize,
}

impl Turn<'_> {
    /// Whether some of the buffer, or of a `body` behind it, has not left.
    #[inline]
    pub(super) fn goes_on(&self, body: &[u8]) -> bool {
        self.written < self.output.len() + body.len()
    }

    /// Writes what there is room for, of the buffer and of a `body` behind it.
    #[inline]
    pub(super) fn try_write(&self, transport: &dyn Transport, body: &[u8]) -> io::Result<usize> {
        let mut buffer = self.output.buffer.borrow_mut();
        buffer.end_chunk();
        let bytes = &buffer.bytes;
        let rest = bytes.get(self.written..).unwrap_or_default();
        match &body[self.written.saturating_sub(bytes.len())..] {
            [] => transport.try_write(rest),
            body => transport.try_write_vectored(&[IoSlice::new(rest), IoSlice::new(body)]),
        }
    }

    #[inline]
    pub(super) fn record_written(&mut self, count: usize) {
        self.written += count;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut buffer = self.output.buffer.borrow_mut();
        let gone = self.written.min(buffer.bytes.len());
        buffer.bytes.drain(..gone);
        if let Some(start) = &mut buffer.chunk {
            *start -= gone; // begun behind what has left
        }
        buffer.written += self.written as u64;
        drop(buffer);
        self.output.is_being_written.set(false);
        if let Some(over) = self.output.turn_over.take() {
            over.set();
        }
    }
}

/// Pipelined responses leave when they come to this much, at the latest.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        let output = Output::new(Instant::now());
        output.begin(Vec::with_capacity(64));
        output
    }

    /// Everything, or as much as is said, leaves.
    fn leave(output: &Output, bytes: usize) {
        let mut turn = output.take_turn().unwrap();
        turn.output.buffer().end_chunk();
        turn.record_written(bytes.min(output.len()));
    }

    #[test]
    fn the_framing_of_a_body_is_no_data_of_it() {
        let output = output();
        output.buffer().bytes().extend_from_slice(b"the head");
        let body_at = output.buffer().begin_body();
        assert_eq!((body_at, output.body_bytes(body_at)), (8, 0));
        output.buffer().fill_chunk(b"some ");
        output.buffer().fill_chunk(b"data");
        leave(&output, usize::MAX);
        assert_eq!((output.is_empty(), output.body_bytes(body_at)), (true, 9));
        output.buffer().begin_large_chunk(100);
        leave(&output, usize::MAX);
        output.record_written(100); // from where it is
        output.buffer().end_large_chunk();
        output.buffer().fill_chunk(b"more");
        output.buffer().end_chunks(&[]);
        assert_eq!(output.body_bytes(body_at), 113);
        assert_eq!(
            output.position(),
            8 + b"9\r\nsome data\r\n64\r\n\r\n4\r\nmore\r\n0\r\n\r\n".len() as u64 + 100
        );
        assert_eq!(output.body_bytes(u64::MAX), 0, "a body that has not begun");
    }

    #[test]
    fn what_has_left_is_not_taken_back() {
        let output = output();
        output.buffer().bytes().extend_from_slice(b"first");
        let second = output.position();
        output.buffer().fill_chunk(b"second");
        assert!(output.rollback(second));
        assert_eq!((output.len(), output.position()), (5, second));
        // The chunk is gone as well, and another begins with a size line of its own.
        output.buffer().fill_chunk(b"second");
        output.buffer().end_chunks(&[]);
        assert_eq!(&output.buffer().bytes()[5..], b"6\r\nsecond\r\n0\r\n\r\n");
        leave(&output, 6);
        assert!(!output.rollback(second));
        assert_eq!(&output.buffer().bytes()[..3], b"\r\ns");
    }

    #[test]
    fn a_chunk_that_is_begun_behind_what_leaves_is_ended_where_it_is() {
        let output = output();
        output.buffer().bytes().extend_from_slice(b"first");
        let mut turn = output.take_turn().unwrap();
        turn.record_written(5);
        output.buffer().fill_chunk(b"second");
        drop(turn);
        output.buffer().end_chunks(&[]);
        assert_eq!(&output.buffer().bytes()[..], b"6\r\nsecond\r\n0\r\n\r\n");
    }

    #[test]
    fn responses_are_told_of_once() {
        let output = output();
        let (first, second) = (Instant::now(), Instant::now());
        output.buffer().bytes().extend_from_slice(b"first");
        output.record_response(first);
        output.buffer().bytes().extend_from_slice(b"second");
        output.record_response(second);
        leave(&output, usize::MAX);
        assert_eq!(output.take_sent(), Some((first, 2)));
        assert_eq!(output.take_sent(), None);
    }
}
