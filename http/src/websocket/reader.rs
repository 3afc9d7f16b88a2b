//! The receiving direction of a conversation.
//!
//! A client that sends nothing has no buffer here. Bytes are read into a buffer of the shard, and
//! what is left of them behind a message is kept until it is read. No call waits, so a fiber that
//! is unwound leaves the reader as it was after the last item.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::mem;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use straightline_sched::turn_start;

use super::decoder::{Decoder, INVALID_TEXT, Item};
use super::message::{Message, Text};
use super::settings::FrameLimits;
use super::violation::Violation;
use crate::control::Held;
use crate::wire::TriedStream;

/// Reads the items of one client.
pub(super) struct Reader {
    stream: Rc<TriedStream>,
    decoder: RefCell<Decoder>,
    pending: RefCell<Pending>,
    /// The memory of a message of which some bytes have come.
    held: RefCell<Held>,
    /// When bytes last came.
    last_received: Cell<Instant>,
}

/// Bytes that were received and not decoded: those from `at` on.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    at: usize,
}

/// What a try has found.
pub(super) enum Found {
    Item(Item),
    /// Bytes, which are no whole item.
    Part,
    /// Nothing: the caller has to wait.
    Nothing,
    /// The end of the stream.
    End,
}

/// Why nothing more can be read.
pub(super) enum ReadFault {
    Violation(Violation),
    Stream(io::Error),
    ShortOfMemory,
}

impl Reader {
    #[inline(never)] // so the frame of `Conversation::new` is small
    pub(super) fn new(stream: Rc<TriedStream>, limits: FrameLimits, is_compressing: bool) -> Self {
        let held = stream.host().memory.none();
        Self {
            stream,
            decoder: RefCell::new(Decoder::new(limits, is_compressing)),
            pending: RefCell::default(),
            held: RefCell::new(held),
            last_received: Cell::new(turn_start()),
        }
    }

    pub(super) fn last_received(&self) -> Instant {
        self.last_received.get()
    }

    /// Decodes the next item of the bytes that have been received. Not a yield point.
    pub(super) fn next_pending(&self) -> Result<Option<Item>, ReadFault> {
        let Pending { bytes, at } = &mut *self.pending.borrow_mut();
        if bytes.is_empty() {
            return Ok(None);
        }
        let (count, item) = self.decode(&mut bytes[*at..])?;
        *at += count;
        if *at == bytes.len() {
            (*bytes, *at) = (Vec::new(), 0);
        }
        Ok(item)
    }

    /// Reads once, and decodes the first item. Only if nothing is pending. Not a yield point.
    pub(super) fn try_next(&self) -> Result<Found, ReadFault> {
        let mut scratch = Scratch::take();
        let count = match self.stream.try_read(&mut scratch.bytes) {
            Ok(0) => return Ok(Found::End),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Found::Nothing),
            Err(error) => return Err(ReadFault::Stream(error)),
        };
        self.last_received.set(turn_start());
        let received = &mut scratch.bytes[..count];
        let (decoded, item) = self.decode(received)?;
        if decoded < count {
            let bytes = received[decoded..].to_vec();
            self.pending.replace(Pending { bytes, at: 0 });
        }
        Ok(item.map_or(Found::Part, Found::Item))
    }

    /// The conversation is over: frees all buffers.
    pub(super) fn end(&self) {
        self.pending.take();
        self.decoder.replace(Decoder::new(FrameLimits::default(), false));
        self.held.borrow_mut().set(0);
    }

    fn decode(&self, bytes: &mut [u8]) -> Result<(usize, Option<Item>), ReadFault> {
        let mut decoder = self.decoder.borrow_mut();
        let result = decoder.decode(bytes).map_err(ReadFault::Violation)?;
        let mut held = self.held.borrow_mut();
        match decoder.held() {
            0 => held.set(0),
            bytes if !held.try_grow_to(bytes) => return Err(ReadFault::ShortOfMemory),
            _ => {}
        }
        drop(held);
        let (count, item) = result;
        let item = match item {
            Some(Item::Message(message)) => Some(Item::Message(self.counted(message)?)),
            other => other,
        };
        Ok((count, item))
    }

    /// A long message counts as memory of the server for as long as the program has it: many
    /// clients may send one at the same time, and a compressed one grows only here.
    fn counted(&self, message: Message) -> Result<Message, ReadFault> {
        let bytes = match &message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        if bytes < COUNTED_BYTES_MIN {
            return Ok(message);
        }
        let mut held = self.stream.host().memory.none();
        if !held.try_grow_to(bytes) {
            return Err(ReadFault::ShortOfMemory);
        }
        let is_text = matches!(message, Message::Text(_));
        let bytes = Bytes::from_owner(Counted { bytes: message.into_bytes(), _held: held });
        if !is_text {
            return Ok(Message::Binary(bytes));
        }
        let text = Text::try_from(bytes).map_err(|_| ReadFault::Violation(INVALID_TEXT))?;
        Ok(Message::Text(text))
    }
}

/// A message, and its count.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Shorter messages are not counted. Arbitrary: as many as there are clients are a part of what
/// each of them costs anyway.
const COUNTED_BYTES_MIN: usize = 64 * 1024;

thread_local! {
    /// The buffer that all conversations of a shard read into, one after the other.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The shard's buffer, for as long as a call that does not wait.
struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    fn take() -> Self {
        let mut bytes = SCRATCH.take();
        bytes.resize(SCRATCH_BYTES, 0);
        Self { bytes }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SCRATCH.set(mem::take(&mut self.bytes));
    }
}

/// As much as a read of a fast client usually finds.
const SCRATCH_BYTES: usize = 64 * 1024;
