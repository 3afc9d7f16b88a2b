//! The receiving direction of a conversation.
//!
//! A client that sends nothing has no buffer here. Bytes are read into a buffer of the shard, and
//! what is left of them behind a message is kept until it is read. No call waits, so a fiber that
//! is unwound leaves the reader as it was after the last item. A compressed message becomes larger
//! in several calls.
//!
//! All that is kept for a client counts as memory of the server.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::mem;
use std::rc::Rc;
use std::time::Instant;

use straightline_sched::turn_start;

#[cfg(feature = "websocket-deflate")]
use super::decoder::message;
use super::decoder::{Decoder, Item};
#[cfg(feature = "websocket-deflate")]
use super::deflate::{Inflated, Inflation};
use super::message::Message;
use super::settings::FrameLimits;
use super::violation::Violation;
use crate::control::Held;
use crate::wire::TriedStream;

/// Reads the items of one client.
pub(super) struct Reader {
    stream: Rc<TriedStream>,
    decoder: RefCell<Decoder>,
    pending: RefCell<Pending>,
    /// A message that is being inflated, and whether it is a text. Nothing is decoded meanwhile.
    #[cfg(feature = "websocket-deflate")]
    inflating: RefCell<Option<(bool, Inflation)>>,
    #[cfg(feature = "websocket-deflate")]
    message_bytes: usize,
    /// The memory of the three above.
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
    /// Bytes, which are no whole item. More may be pending.
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
            #[cfg(feature = "websocket-deflate")]
            inflating: RefCell::new(None),
            #[cfg(feature = "websocket-deflate")]
            message_bytes: limits.message_bytes,
            held: RefCell::new(held),
            last_received: Cell::new(turn_start()),
        }
    }

    pub(super) fn last_received(&self) -> Instant {
        self.last_received.get()
    }

    /// Goes on with what has been received; `None` if nothing of it is left. Not a yield point.
    pub(super) fn next_pending(&self) -> Result<Option<Found>, ReadFault> {
        #[cfg(feature = "websocket-deflate")]
        if let Some(found) = self.inflate()? {
            return Ok(Some(found));
        }
        let Pending { bytes, at } = &mut *self.pending.borrow_mut();
        if bytes.is_empty() {
            return Ok(None);
        }
        let (count, item) = self.decode(&mut bytes[*at..])?;
        *at += count;
        if *at == bytes.len() {
            (*bytes, *at) = (Vec::new(), 0);
        }
        self.found(item, bytes.capacity()).map(Some)
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
        let rest = &received[decoded..];
        let found = self.found(item, rest.len())?;
        if !rest.is_empty() {
            self.pending.replace(Pending { bytes: rest.to_vec(), at: 0 });
        }
        Ok(found)
    }

    /// The conversation is over: frees all buffers.
    pub(super) fn end(&self) {
        self.pending.take();
        self.decoder.replace(Decoder::new(FrameLimits::default(), false));
        #[cfg(feature = "websocket-deflate")]
        self.inflating.take();
        self.held.borrow_mut().set(0);
    }

    fn decode(&self, bytes: &mut [u8]) -> Result<(usize, Option<Item>), ReadFault> {
        self.decoder.borrow_mut().decode(bytes).map_err(ReadFault::Violation)
    }

    /// What the decoder has found, with so many bytes behind it.
    fn found(&self, item: Option<Item>, pending_bytes: usize) -> Result<Found, ReadFault> {
        let message = match item {
            #[cfg(feature = "websocket-deflate")]
            Some(Item::Compressed { is_text, bytes }) => {
                let inflation = Inflation::new(bytes, self.message_bytes);
                self.count_kept(pending_bytes + inflation.held())?;
                self.inflating.replace(Some((is_text, inflation)));
                return Ok(Found::Part);
            }
            Some(Item::Message(message)) => message,
            item => {
                self.count_kept(pending_bytes + self.decoder.borrow().held())?;
                return Ok(item.map_or(Found::Part, Found::Item));
            }
        };
        self.count_kept(pending_bytes)?;
        Ok(Found::Item(Item::Message(self.counted(message)?)))
    }

    /// A step of the message that is being inflated, if there is one.
    #[cfg(feature = "websocket-deflate")]
    fn inflate(&self) -> Result<Option<Found>, ReadFault> {
        let mut inflating = self.inflating.borrow_mut();
        let Some((is_text, inflation)) = &mut *inflating else { return Ok(None) };
        let pending_bytes = self.pending.borrow().bytes.capacity();
        let step = inflation
            .step(|bytes| self.count_kept(pending_bytes + bytes).is_ok())
            .map_err(ReadFault::Violation)?;
        let bytes = match step {
            Inflated::Part => return Ok(Some(Found::Part)),
            Inflated::NoRoom => return Err(ReadFault::ShortOfMemory),
            Inflated::Whole(bytes) => bytes,
        };
        let message = message(*is_text, bytes.into()).map_err(ReadFault::Violation)?;
        *inflating = None;
        self.count_kept(pending_bytes)?;
        Ok(Some(Found::Item(Item::Message(self.counted(message)?))))
    }

    /// That many bytes are kept for the client, or are to be.
    fn count_kept(&self, bytes: usize) -> Result<(), ReadFault> {
        let mut held = self.held.borrow_mut();
        if !held.try_grow_to(bytes) {
            return Err(ReadFault::ShortOfMemory);
        }
        held.set(bytes);
        Ok(())
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
        Ok(message.counted(held))
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
