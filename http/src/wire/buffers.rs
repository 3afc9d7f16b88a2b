//! A connection's buffers, and the shard's pool of them.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use straightline_sched::{Label, sim};

use super::client_stream::ClientStream;
use crate::control::{Held, Memory};
use crate::proto::{Head, HeadParser};

/// The memory that a connection needs while it is active, and gives back when it becomes idle.
pub(crate) struct Buffers {
    /// What was received and is not consumed; while the head is [split off](Self::split_head), the
    /// head alone.
    pub(crate) input: Input,
    /// What was received, while the head is split off; empty otherwise.
    received: RefCell<Input>,
    /// The output's memory while the connection is idle; empty while it is active.
    pub(crate) output: Vec<u8>,
    pub(crate) parser: HeadParser,
    pub(crate) head: Head,
    /// The request line, for a list of the fibers.
    pub(crate) label: Label,
    /// Lets the pool's simulation count the living buffers.
    _alive: Rc<()>,
}

/// Bytes that were read and not yet consumed: `bytes[start..end]`.
pub(crate) struct Input {
    /// `start <= end <= bytes.len()`; `start == 0` whenever `start == end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Counts the memory of the bytes and of the buffers around them.
    held: Held,
}

/// The free buffers of a shard.
pub(crate) struct BufferPool {
    #[allow(clippy::vec_box)] // whole boxes move to connections and back
    free: RefCell<Vec<Box<Buffers>>>,
    alive: Rc<()>,
    memory: Arc<Memory>,
}

impl BufferPool {
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        let alive = Rc::new(());
        if sim::is_simulated() {
            let left = Rc::downgrade(&alive);
            sim::on_end(move || match left.strong_count() {
                0 => Vec::new(),
                count => vec![format!("{count} of a shard's pool of buffers and the buffers")],
            });
        }
        Self { free: RefCell::default(), alive, memory: Arc::clone(memory) }
    }

    pub(crate) fn take(&self) -> Box<Buffers> {
        self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut held = self.memory.none();
            held.set(size_of::<Buffers>() + INPUT_BYTES);
            Box::new(Buffers {
                input: Input { bytes: vec![0; INPUT_BYTES], start: 0, end: 0, held },
                received: RefCell::new(Input::empty(self.memory.none())),
                output: Vec::new(),
                parser: HeadParser::default(),
                head: Head::default(),
                label: Label::new(),
                _alive: Rc::clone(&self.alive),
            })
        })
    }

    /// Takes buffers back; bytes that are still in them are lost. Buffers that grew, and buffers
    /// beyond the pool's bound, are freed.
    pub(crate) fn give(&self, mut buffers: Box<Buffers>) {
        debug_assert!(buffers.output.is_empty(), "a response that was never written");
        let mut free = self.free.borrow_mut();
        if free.len() < FREE_BUFFERS_MAX && buffers.input.bytes.len() == INPUT_BYTES {
            if buffers.output.capacity() > OUTPUT_KEPT_BYTES {
                buffers.output = Vec::new();
            }
            (buffers.input.start, buffers.input.end) = (0, 0);
            buffers.parser.forget(); // a head that was never completed
            free.push(buffers);
        }
    }
}

impl Buffers {
    /// Copies the head to a place of its own: it stays there, unchanged, while more of the body is
    /// received into the buffer.
    ///
    /// # Errors
    ///
    /// The server's limit or the allocator has no memory left.
    #[cold]
    pub(crate) fn split_head(&mut self) -> io::Result<()> {
        let copy = self.received.get_mut();
        copy.push(&self.input.unread()[..self.head.end])?;
        mem::swap(copy, &mut self.input);
        Ok(())
    }

    /// Undoes [`split_head`](Self::split_head); the head's copy is dropped.
    #[cold]
    pub(crate) fn join_head(&mut self) {
        mem::swap(self.received.get_mut(), &mut self.input);
        let copy = self.received.get_mut();
        copy.clear();
        // A head that a program has made large is not kept.
        if copy.bytes.len() > INPUT_BYTES {
            copy.release();
        }
        if self.head.fields.capacity() > FIELDS_KEPT_MAX {
            self.head.fields = Vec::new();
        }
    }

    /// What was received, while the head is split off.
    pub(crate) fn received(&self) -> &RefCell<Input> {
        &self.received
    }

    /// Frees the memory of everything that was received, except for the head: it is still reported.
    pub(crate) fn keep_head(&mut self) {
        let head = self.input.unread()[..self.head.end].to_vec();
        self.input.held.set(size_of::<Self>() + head.len());
        (self.input.start, self.input.end) = (0, head.len());
        self.input.bytes = head;
        self.received.get_mut().release();
        self.head.fields.shrink_to_fit();
    }
}

impl Input {
    /// Without memory.
    fn empty(held: Held) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, held }
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// The server's limit or the allocator has no memory left.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() - self.end < bytes.len() {
            self.make_room(bytes.len(), 0)?;
        }
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
        Ok(())
    }

    /// Drops everything, and keeps the memory.
    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "consumed more than was read");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once into the free space, for a head of at most `head_bytes_max`. If no space is free,
    /// makes some.
    pub(crate) fn fill(
        &mut self,
        transport: &ClientStream,
        head_bytes_max: usize,
    ) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            // One byte more than a head may have, so that a head that is too long is always
            // noticed.
            self.make_room(1, head_bytes_max.saturating_add(1))?;
        }
        let count = transport.try_read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// As [`fill`](Self::fill), for the bytes behind a head: calls `read` once, with free space.
    pub(super) fn fill_with(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // With little free space each read would return little. The client chooses where its head
        // ends, so it could make the server read a few bytes at a time.
        if self.bytes.len() - self.end < ROOM_LEAST {
            self.make_room(ROOM_BYTES, 0)?;
        }
        let count = read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Drops the bytes that were read behind the first `count` unread bytes.
    pub(crate) fn truncate(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "more than there is");
        self.end = self.start + count;
    }

    /// Drops everything, and frees the memory.
    fn release(&mut self) {
        (self.bytes, self.start, self.end) = (Vec::new(), 0, 0);
        self.held.set(0);
    }

    /// Makes room for `least` bytes: moves the unread bytes to the front, or else grows, to twice
    /// the size if that is not beyond `grown_max`.
    ///
    /// An error says that the server's limit or the allocator has no memory left; the process goes
    /// on.
    #[cold]
    fn make_room(&mut self, least: usize, grown_max: usize) -> io::Result<()> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < least {
            let twice = self.bytes.len().saturating_mul(2).min(grown_max);
            let grown = twice.max(self.end.saturating_add(least));
            if !self.held.try_grow_to(size_of::<Buffers>() + grown) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.bytes.try_reserve_exact(grown - self.bytes.len())?;
            self.bytes.resize(grown, 0);
        }
        Ok(())
    }
}

/// The first size of a read buffer: room for nearly every head, or for many small ones.
const INPUT_BYTES: usize = 8 * 1024;

/// The least free space for a read of bytes behind a head: the framing of a chunked body, and data
/// that comes with it. Arbitrary: at this size a system call costs less than a nanosecond a byte.
const ROOM_LEAST: usize = 1024;

/// How much room is made if less is free.
const ROOM_BYTES: usize = 4 * 1024;

/// How many free buffers a shard keeps. Arbitrary: as many as connections are active at the same
/// time on a busy shard; with an output of usual size each, they take less than 2 MiB.
const FREE_BUFFERS_MAX: usize = 128;

/// The memory for more header fields is freed after their request: clients may send fewer.
const FIELDS_KEPT_MAX: usize = 256;

/// A larger output buffer is freed when its connection becomes idle.
const OUTPUT_KEPT_BYTES: usize = 64 * 1024;
