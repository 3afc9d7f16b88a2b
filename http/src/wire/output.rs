//! The bytes that wait to be sent to the client, and how many of them have been sent.
//!
//! Responses are encoded into one buffer, and sent together. While one fiber of a handler sends the
//! buffer, another fiber may add to its end. So three rules hold:
//!
//! - the buffer is never borrowed across a wait;
//! - one fiber at a time has the *turn* to send. When its turn ends, also when a deadline ends it,
//!   the bytes that it has sent are removed from the front of the buffer, so that no byte is sent
//!   twice;
//! - the buffer's memory belongs to the output while the connection is active, and to the pool
//!   while it is idle.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice};
use std::mem;
use std::rc::Rc;

use http::{HeaderName, HeaderValue};
use straightline_net::Transport;
use straightline_sched::ShardTime;
use straightline_sched::sync::Flag;

use super::client_stream::ClientStream;
use crate::proto::{begin_chunk, end_chunk, put_chunk_size, put_last_chunk};

/// A connection's output.
pub(crate) struct Output {
    buffer: RefCell<OutputBuffer>,
    /// A fiber is sending the buffer, including what is added meanwhile.
    is_being_written: Cell<bool>,
    /// The end of the current turn, for a fiber that waits for its own turn.
    turn_ended: Cell<Option<Rc<Flag>>>,
    /// A flush before the next wait of the fiber is arranged, which is done once at a time.
    is_flush_arranged: Cell<bool>,
    /// The same for a flush of the responses in front of the current one.
    is_early_flush_arranged: Cell<bool>,
    /// How many complete responses have not been sent, and when the request of the first of them
    /// began.
    unsent: Cell<u32>,
    unsent_since: Cell<ShardTime>,
}

/// The bytes that wait to be sent.
pub(crate) struct OutputBuffer {
    bytes: Vec<u8>,
    /// Where the chunk begins that is being filled, if there is one. A write ends the chunk, so
    /// that no data is held back.
    chunk: Option<usize>,
    /// How many bytes of the current body are framing and not data.
    framing: u64,
    /// How many bytes have been sent, from the buffer and from elsewhere.
    written: u64,
}

impl Output {
    pub(super) fn new(now: ShardTime) -> Self {
        let buffer = OutputBuffer { bytes: Vec::new(), chunk: None, framing: 0, written: 0 };
        Self {
            buffer: RefCell::new(buffer),
            is_being_written: Cell::new(false),
            turn_ended: Cell::new(None),
            is_flush_arranged: Cell::new(false),
            is_early_flush_arranged: Cell::new(false),
            unsent: Cell::new(0),
            unsent_since: Cell::new(now),
        }
    }

    /// The connection is active, and uses `memory` for its unsent bytes.
    #[inline]
    pub(crate) fn begin(&self, memory: Vec<u8>) {
        debug_assert!(memory.is_empty() && self.is_empty(), "a response of another connection");
        self.buffer.borrow_mut().bytes = memory;
        self.end_early_flush();
    }

    /// The connection is idle, or has closed: returns the memory.
    #[inline]
    pub(crate) fn end(&self) -> Vec<u8> {
        mem::take(&mut self.buffer.borrow_mut().bytes)
    }

    /// The connection is idle, or has ended. Forgets everything that belongs to it, except for the
    /// positions, which go on.
    #[inline]
    pub(super) fn reset(&mut self) {
        debug_assert!(!self.is_being_written.get(), "a turn has not ended");
        let buffer = self.buffer.get_mut();
        buffer.chunk = None;
        if buffer.bytes.capacity() > 0 {
            buffer.bytes = Vec::new(); // of a connection that broke
        }
        self.is_flush_arranged.set(false);
        self.unsent.set(0);
    }

    /// The unsent bytes, to add to them.
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

    /// How many bytes of memory the buffer takes.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.borrow().bytes.capacity()
    }

    /// How many bytes were made for the client so far, sent or not.
    pub(crate) fn position(&self) -> u64 {
        self.buffer.borrow().position()
    }

    /// How many bytes of data the body that begins at `body_at` has so far.
    pub(crate) fn body_bytes(&self, body_at: u64) -> u64 {
        let buffer = self.buffer.borrow();
        buffer.position().saturating_sub(body_at).saturating_sub(buffer.framing)
    }

    /// Removes what was added after `position`; false if a part of that has been sent already.
    pub(crate) fn rollback(&self, position: u64) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        let Some(kept) = position.checked_sub(buffer.written) else { return false };
        buffer.chunk = None;
        buffer.bytes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        true
    }

    /// Says in the head that was added at `position` that the connection closes, if no part of the
    /// head has been sent.
    #[cold]
    pub(super) fn announce_close(&self, position: u64) {
        let mut buffer = self.buffer.borrow_mut();
        let start = position.checked_sub(buffer.written).and_then(|start| start.try_into().ok());
        let Some(start) = start.filter(|_| !self.is_being_written()) else { return };
        buffer.announce_close(start);
    }

    /// Drops all unsent bytes.
    pub(crate) fn clear(&self) {
        let mut buffer = self.buffer.borrow_mut();
        buffer.chunk = None;
        buffer.bytes.clear();
    }

    /// Arranges a flush before the fiber waits; false if one was arranged already.
    pub(super) fn arrange_flush(&self) -> bool {
        !self.is_flush_arranged.replace(true)
    }

    /// As [`arrange_flush`](Self::arrange_flush), for the responses in front of the current one.
    #[inline]
    pub(crate) fn arrange_early_flush(&self) -> bool {
        !self.is_early_flush_arranged.replace(true)
    }

    /// No flush of those responses is arranged any more.
    #[inline]
    pub(crate) fn end_early_flush(&self) {
        self.is_early_flush_arranged.set(false);
    }

    /// The arranged flush begins, and the next one has to be arranged anew.
    pub(super) fn begin_arranged_flush(&self) {
        self.is_flush_arranged.set(false);
        self.end_early_flush();
    }

    /// A response is complete. Its request began at `begun`.
    #[inline]
    pub(super) fn record_response(&self, begun: ShardTime) {
        let count = self.unsent.get();
        if count == 0 {
            self.unsent_since.set(begun);
        }
        self.unsent.set(count + 1);
    }

    /// All responses have been sent: when the request of the first of them began, and how many they
    /// are; `None` if there were none since the last call.
    #[inline]
    pub(super) fn take_sent(&self) -> Option<(ShardTime, u32)> {
        if self.unsent.get() == 0 {
            return None;
        }
        Some((self.unsent_since.get(), self.unsent.replace(0)))
    }

    /// Whether a fiber has the turn to write.
    #[inline]
    pub(super) fn is_being_written(&self) -> bool {
        self.is_being_written.get()
    }

    /// Tries once to send the whole buffer. No turn is needed for that, since nothing waits
    /// meanwhile. Returns how many bytes were sent, which are removed from the buffer. No fiber may
    /// have the turn.
    #[inline]
    pub(super) fn try_write_at_once(&self, transport: &ClientStream) -> io::Result<usize> {
        debug_assert!(!self.is_being_written(), "the front of the buffer is another fiber's");
        let mut buffer = self.buffer.borrow_mut();
        buffer.end_chunk();
        let count = transport.try_write(&buffer.bytes)?;
        if count >= buffer.bytes.len() {
            buffer.bytes.clear();
        } else {
            buffer.bytes.drain(..count);
        }
        buffer.written += count as u64;
        Ok(count)
    }

    /// Waits until no other fiber sends, and takes the turn.
    ///
    /// A yield point.
    pub(super) fn take_turn(&self) -> io::Result<Turn<'_>> {
        while self.is_being_written.get() {
            let over = self.turn_ended.take().unwrap_or_default();
            self.turn_ended.set(Some(Rc::clone(&over)));
            over.wait()?;
        }
        self.is_being_written.set(true);
        Ok(Turn { output: self, written: 0 })
    }

    /// `bytes` bytes of the current body, sent or not, are framing that was made elsewhere.
    pub(crate) fn record_framing(&self, bytes: usize) {
        self.buffer.borrow_mut().framing += bytes as u64;
    }

    /// `count` bytes were sent that were never in the buffer.
    pub(super) fn record_written(&self, count: usize) {
        self.buffer.borrow_mut().written += count as u64;
    }
}

impl OutputBuffer {
    /// All unsent bytes. What is added through this is neither a chunk's data nor framing, see
    /// below.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    fn position(&self) -> u64 {
        self.written + self.bytes.len() as u64
    }

    /// The bytes that are added from now on are a response's body: returns its position.
    #[inline]
    pub(crate) fn begin_body(&mut self) -> u64 {
        self.framing = 0;
        self.position()
    }

    /// Adds data to the chunk that is being filled, or begins a chunk.
    pub(super) fn fill_chunk(&mut self, data: &[u8]) {
        if self.chunk.is_none() {
            self.chunk = Some(self.frame(begin_chunk));
        }
        self.bytes.extend_from_slice(data);
    }

    /// Ends the chunk that is being filled, if there is one.
    #[inline]
    fn end_chunk(&mut self) {
        if let Some(start) = self.chunk {
            self.chunk = None;
            // The size line may become shorter than the space that was left for it.
            self.frame(|bytes| end_chunk(bytes, start));
        }
    }

    /// Begins a chunk of `bytes` bytes, which are not added here.
    pub(super) fn begin_large_chunk(&mut self, bytes: u64) {
        self.end_chunk();
        self.frame(|output| put_chunk_size(output, bytes));
    }

    /// The large chunk has been sent: ends it.
    pub(super) fn end_large_chunk(&mut self) {
        self.frame(|output| output.extend_from_slice(b"\r\n"));
    }

    /// Ends a chunked body.
    pub(crate) fn end_chunks(&mut self, trailers: &[(HeaderName, HeaderValue)]) {
        self.end_chunk();
        self.frame(|output| put_last_chunk(output, trailers));
    }

    /// Adds `Connection: close` to the head at `start`, in the place of `keep-alive`.
    fn announce_close(&mut self, start: usize) {
        let find = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|at| at == text);
        let head = self.bytes.get(start..).unwrap_or_default();
        let Some(length) = find(head, b"\r\n\r\n").map(|at| at + 2) else { return };
        let (end, kept) = (start + length, find(&head[..length], KEEP_ALIVE).map(|at| start + at));
        let replaced = kept.map_or(end..end, |at| at..at + KEEP_ALIVE.len());
        let (more, less) = (CLOSE.len(), replaced.len());
        self.bytes.splice(replaced, CLOSE.iter().copied());
        self.chunk = self.chunk.map(|at| at + more - less);
        // The body begins later by that.
        self.framing = self.framing.wrapping_add(more as u64).wrapping_sub(less as u64);
    }

    /// Adds framing, which is not data of the body.
    fn frame<T>(&mut self, put: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.bytes.len() as u64;
        let result = put(&mut self.bytes);
        let after = self.bytes.len() as u64;
        self.framing = self.framing.wrapping_add(after).wrapping_sub(before);
        result
    }
}

/// The field about the connection, as the encoder writes it.
const KEEP_ALIVE: &[u8] = b"Connection: keep-alive\r\n";
const CLOSE: &[u8] = b"Connection: close\r\n";

/// A fiber's turn to send; when this is dropped, the sent bytes are removed from the buffer.
pub(super) struct Turn<'o> {
    output: &'o Output,
    /// How many bytes were sent in this turn, from the buffer and then from `body`.
    written: usize,
}

impl Turn<'_> {
    /// Whether a part of the buffer, or of a `body` behind it, has not been sent.
    #[inline]
    pub(super) fn has_unsent(&self, body: &[u8]) -> bool {
        self.written < self.output.len() + body.len()
    }

    /// Sends as much of the buffer, and of a `body` behind it, as the socket has room for.
    #[inline]
    pub(super) fn try_write(&self, transport: &dyn Transport, body: &[u8]) -> io::Result<usize> {
        let mut buffer = self.output.buffer.borrow_mut();
        buffer.end_chunk();
        let bytes = &buffer.bytes;
        let rest = bytes.get(self.written..).unwrap_or_default();
        match &body[self.written.saturating_sub(bytes.len())..] {
            [] => transport.try_write(rest),
            body if rest.is_empty() => transport.try_write(body),
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
        let sent = self.written.min(buffer.bytes.len());
        buffer.bytes.drain(..sent);
        if let Some(start) = &mut buffer.chunk {
            *start -= sent; // a chunk begins behind the sent bytes
        }
        buffer.written += self.written as u64;
        drop(buffer);
        self.output.is_being_written.set(false);
        if let Some(over) = self.output.turn_ended.take() {
            over.set();
        }
    }
}

/// From how many bytes on pipelined responses are sent.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn output() -> Output {
        let output = Output::new(ShardTime::now());
        output.begin(Vec::with_capacity(64));
        output
    }

    /// Sends `bytes` bytes, or all.
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
        output.record_written(100); // sent without a copy
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
        // The chunk is gone as well, and the next one begins with a size line of its own.
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
        let first = ShardTime::now();
        let second = first + Duration::from_secs(1);
        output.buffer().bytes().extend_from_slice(b"first");
        output.record_response(first);
        output.buffer().bytes().extend_from_slice(b"second");
        output.record_response(second);
        leave(&output, usize::MAX);
        assert_eq!(output.take_sent(), Some((first, 2)));
        assert_eq!(output.take_sent(), None);
    }
}
