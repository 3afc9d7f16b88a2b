//! A buffer whose memory belongs to the thread while nothing is in it.
//!
//! A connection at rest holds no buffer. What a connection gives back, the next one takes, so a
//! thread has about as many buffers as connections that are active at the same time.

use std::cell::RefCell;
use std::io;
use std::mem;

/// Bytes that arrive at the end and leave at the front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// All of it is initialised; `start..end` is in use.
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The bytes of memory that it holds.
    pub(crate) fn held(&self) -> usize {
        self.memory.len()
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    /// All the room behind the bytes, which is at least `least` bytes.
    pub(crate) fn room(&mut self, least: usize) -> Result<&mut [u8], NoMemory> {
        if self.memory.is_empty() {
            self.memory = take()?;
        }
        if self.memory.len() - self.end < least {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= mem::take(&mut self.start);
            let needed = self.end + least;
            if self.memory.len() < needed {
                let size = needed.max(2 * self.end);
                self.memory.try_reserve_exact(size - self.memory.len()).map_err(|_| NoMemory)?;
                self.memory.resize(size, 0);
            }
        }
        Ok(&mut self.memory[self.end..])
    }

    /// `count` bytes were written into the room.
    pub(crate) fn advance(&mut self, count: usize) {
        assert!(count <= self.memory.len() - self.end, "more bytes than there was room for");
        self.end += count;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        if bytes.is_empty() {
            return Ok(()); // an empty buffer holds no memory
        }
        self.room(bytes.len())?[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    /// Removes `count` bytes at the front. An empty buffer gives its memory back.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes than there are");
        self.start += count;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            give(mem::take(&mut self.memory));
        }
    }

    /// Moves bytes from the front into `target`.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> usize {
        let count = target.len().min(self.len());
        target[..count].copy_from_slice(&self.filled()[..count]);
        self.consume(count);
        count
    }

    /// A wait begins: few bytes hold little memory, so that a peer that sends part of a record and
    /// no more does not hold a whole buffer.
    pub(crate) fn settle(&mut self) {
        if self.memory.len() > 2 * self.len() + SMALL_BYTES {
            let few = self.filled().to_vec();
            let large = mem::replace(&mut self.memory, few);
            (self.start, self.end) = (0, self.memory.len());
            give(large);
        }
    }
}

/// The allocator has no memory for a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoMemory;

impl From<NoMemory> for io::Error {
    fn from(_: NoMemory) -> Self {
        io::ErrorKind::OutOfMemory.into()
    }
}

impl From<NoMemory> for rustls::Error {
    fn from(_: NoMemory) -> Self {
        Self::General("no memory for a buffer".into())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give(mem::take(&mut self.memory));
    }
}

thread_local! {
    /// Buffers that no connection uses, the youngest last.
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take() -> Result<Vec<u8>, NoMemory> {
    if let Some(free) = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten() {
        return Ok(free);
    }
    let mut memory = Vec::new();
    memory.try_reserve_exact(BUFFER_BYTES).map_err(|_| NoMemory)?;
    memory.resize(BUFFER_BYTES, 0);
    Ok(memory)
}

fn give(memory: Vec<u8>) {
    if memory.len() < BUFFER_BYTES || memory.len() > KEPT_BYTES_MAX {
        return;
    }
    // A destructor may run while the thread ends.
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < FREE_MAX {
            free.push(memory);
        }
    });
}

/// The size of a new buffer: one record of the largest size (RFC 8446 section 5.2), and what TLS
/// 1.2 adds to it.
const BUFFER_BYTES: usize = 17 * 1024;

/// A larger buffer than this is not kept: four records, with room.
const KEPT_BYTES_MAX: usize = 4 * BUFFER_BYTES;

/// How many buffers a thread keeps. Arbitrary: one megabyte to four, depending on their sizes.
const FREE_MAX: usize = 64;

/// What a buffer at rest may waste. Arbitrary: what an allocator hardly notices.
const SMALL_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut buffer = Buffer::default();
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut read = Vec::new();
        for piece in bytes.chunks(7_001) {
            buffer.push(piece).expect("memory");
            let mut target = [0; 5_003];
            let count = buffer.read(&mut target);
            read.extend_from_slice(&target[..count]);
        }
        read.extend_from_slice(buffer.filled());
        assert_eq!(read, bytes);
    }

    #[test]
    fn few_bytes_hold_little_memory_while_they_wait() {
        let mut buffer = Buffer::default();
        buffer.push(b"part of a record").expect("memory");
        assert!(buffer.memory.len() > 16 * 1024);
        buffer.settle();
        assert!(buffer.memory.len() < 512);
        buffer.push(b", and the rest").expect("memory");
        assert_eq!(buffer.filled(), b"part of a record, and the rest");
        buffer.consume(buffer.len());
        assert_eq!(buffer.memory.capacity(), 0);
    }
}
