//! A connection to an upstream: the stream, and the bytes of a response that have arrived.
//!
//! The two are fields of their own, because one fiber may write the request while another one reads
//! the response. All calls are built of tries and waits, so a cancel at any wait loses no byte.

use std::io::{self, ErrorKind};
use std::time::Instant;

use straightline_net::Transport;
use straightline_sched::{Interest, checkpoint};

/// A connection to an upstream.
pub(super) struct UpstreamConnection {
    pub(super) stream: Box<dyn Transport>,
    pub(super) input: Received,
}

/// What has arrived and is not used up: `bytes[start..end]`.
pub(super) struct Received {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read has proved that nothing is left, so the next one waits first.
    is_drained: bool,
}

impl UpstreamConnection {
    /// A new connection; `buffer` is memory that an earlier one has left.
    pub(super) fn new(stream: Box<dyn Transport>, buffer: Vec<u8>) -> Self {
        Self { stream, input: Received::new(buffer) }
    }

    /// Sends all of `bytes`.
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// The stream's, and `TimedOut` when it takes nothing until `until`.
    pub(super) fn send(&self, bytes: &[u8], until: Instant) -> io::Result<()> {
        let mut sent = 0;
        send_all(&*self.stream, bytes, &mut sent, || until)
    }
}

impl Received {
    pub(super) fn new(mut buffer: Vec<u8>) -> Self {
        if buffer.len() < INPUT_BYTES {
            buffer.resize(INPUT_BYTES, 0);
        }
        Self { bytes: buffer, start: 0, end: 0, is_drained: false }
    }

    /// The bytes that are not used up.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// `count` bytes are used up.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "more than has arrived");
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The memory, for another connection.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether a read should wait first, because nothing has arrived since the last one.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// The stream has changed: the next read tries first.
    pub(super) fn expect_bytes(&mut self) {
        self.is_drained = false;
    }

    /// A response begins on a connection that was idle: nothing has arrived.
    pub(super) fn expect_nothing(&mut self) {
        self.is_drained = true;
    }

    /// Reads what has arrived behind the bytes that are there; 0 is the end of the stream. Not a
    /// yield point.
    ///
    /// # Errors
    ///
    /// The stream's, `WouldBlock` among them.
    pub(super) fn try_fill(&mut self, stream: &dyn Transport) -> io::Result<usize> {
        self.make_room();
        loop {
            match stream.try_read(&mut self.bytes[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    self.is_drained = stream.is_drained();
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_drained = error.kind() == ErrorKind::WouldBlock;
                    return Err(error);
                }
            }
        }
    }

    /// As [`try_fill`](Self::try_fill), but waits.
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// The stream's, and `TimedOut` when nothing has arrived until `until`.
    pub(super) fn fill(&mut self, stream: &dyn Transport, until: Instant) -> io::Result<usize> {
        // Before anything is read: the checkpoint may unwind.
        checkpoint();
        loop {
            if self.is_drained {
                if !stream.wait_until(Interest::Read, Some(until))? {
                    return Err(ErrorKind::TimedOut.into());
                }
                self.is_drained = false;
            }
            match self.try_fill(stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Makes room behind the bytes: moves them to the front, or else takes more memory. A head
    /// that needs more than its limit is refused by its parser before that happens again.
    fn make_room(&mut self) {
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

/// Sends `bytes[*sent..]`, and keeps in `sent` how far it is, also when the caller is cancelled;
/// `until` is asked before each wait.
///
/// A yield point.
pub(super) fn send_all(
    stream: &dyn Transport,
    bytes: &[u8],
    sent: &mut usize,
    until: impl Fn() -> Instant,
) -> io::Result<()> {
    checkpoint();
    let wait = || match stream.wait_until(Interest::Write, Some(until())) {
        Ok(true) => Ok(()),
        Ok(false) => Err(io::Error::from(ErrorKind::TimedOut)),
        Err(error) => Err(error),
    };
    while *sent < bytes.len() {
        match stream.try_write(&bytes[*sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait()?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // A stream with a buffer of its own, such as TLS.
    loop {
        match stream.try_flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait()?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The memory for what has arrived: a head and a small body, or a piece of a large one. Arbitrary:
/// system calls hardly count at this size.
pub(super) const INPUT_BYTES: usize = 32 * 1024;
