//! The sending direction of a conversation.
//!
//! A call that sends adds a whole frame to the outbox, and writes what there is room for. If
//! something is left, a fiber of its own writes the rest: the *flusher*, which lives until the
//! outbox is empty. So a fiber that is unwound while it sends has sent its message as a whole or
//! not at all, and a client that reads at once costs no second fiber.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use straightline_sched::sync::{Flag, at, select};
use straightline_sched::{FiberBuilder, JoinHandle, checkpoint, now};

use super::error::Error;
use super::frame::FrameKind;
use super::numbers::Numbers;
use super::outbox::Outbox;
use super::settings::{Settings, SlowReceiver};
use crate::control::Held;
use crate::wire::{Room, TriedStream};

/// Sends the frames for one client.
pub(super) struct Writer {
    stream: Rc<TriedStream>,
    settings: Arc<Settings>,
    numbers: Arc<Numbers>,
    outbox: RefCell<Outbox>,
    /// The memory of the outbox, while the flusher runs.
    held: RefCell<Held>,
    /// A Pong waits for the next write.
    owes_pong: Cell<bool>,
    /// While the flusher runs, nothing else writes.
    is_flushing: Cell<bool>,
    flusher: RefCell<Option<JoinHandle<()>>>,
    /// Clear while the flusher runs.
    is_sent: Flag,
    /// Set when senders that wait are to look again.
    room: Flag,
    /// When the client last read something, or bytes were last written.
    last_progress: Cell<Instant>,
    failure: Cell<Option<Failure>>,
    is_ended: Cell<bool>,
}

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Broken(ErrorKind),
    WriteTimeout(Duration),
    TooSlow,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(kind) => Self::Disconnected(kind.into()),
            Failure::WriteTimeout(time) => Self::WriteTimeout(time),
            Failure::TooSlow => Self::TooSlow,
        }
    }
}

impl Writer {
    #[inline(never)] // so the frame of `Conversation::new` is small
    pub(super) fn new(
        stream: Rc<TriedStream>,
        settings: Arc<Settings>,
        numbers: Arc<Numbers>,
    ) -> Rc<Self> {
        let held = stream.host().memory.none();
        Rc::new(Self {
            stream,
            settings,
            numbers,
            outbox: RefCell::default(),
            held: RefCell::new(held),
            owes_pong: Cell::new(false),
            is_flushing: Cell::new(false),
            flusher: RefCell::new(None),
            is_sent: Flag::new(),
            room: Flag::new(),
            last_progress: Cell::new(now()),
            failure: Cell::new(None),
            is_ended: Cell::new(false),
        })
    }

    /// Sends a message, as the policy for slow receivers says.
    ///
    /// A yield point, which raises before anything is sent.
    pub(super) fn send(self: &Rc<Self>, kind: FrameKind, payload: Bytes) -> Result<(), Error> {
        checkpoint();
        self.check_open()?;
        while !self.has_room(payload.len()) {
            match self.settings.slow_receiver {
                SlowReceiver::Wait => {
                    self.room.clear();
                    self.room.wait().map_err(|error| Error::Disconnected(error.into()))?;
                    self.check_open()?;
                }
                SlowReceiver::Drop => {
                    self.numbers.dropped.bump();
                    return Ok(());
                }
                SlowReceiver::Disconnect => {
                    self.fail(Failure::TooSlow);
                    return Err(Error::TooSlow);
                }
            }
        }
        self.numbers.sent.bump();
        self.push(kind, payload);
        Ok(())
    }

    /// Sends a control frame, whatever waits. Not a yield point.
    pub(super) fn push(self: &Rc<Self>, kind: FrameKind, payload: Bytes) {
        self.outbox.borrow_mut().push(kind, payload);
        self.write_or_start_flusher();
    }

    fn write_or_start_flusher(self: &Rc<Self>) {
        self.owes_pong.set(false);
        if self.is_flushing.get() {
            return; // the flusher sends all
        }
        match self.write() {
            Ok(true) => {}
            Ok(false) => self.start_flusher(),
            Err(error) => self.fail(Failure::Broken(error.kind())),
        }
    }

    /// A Pong that is sent by the next call of [`send_pong`](Self::send_pong), or with the next
    /// frame. It replaces one that has not been sent. Not a yield point.
    pub(super) fn put_pong(&self, payload: Bytes) {
        self.outbox.borrow_mut().push(FrameKind::Pong, payload);
        self.owes_pong.set(true);
    }

    /// Sends the last Pong, if it was not sent. Not a yield point.
    pub(super) fn send_pong(self: &Rc<Self>) {
        if self.owes_pong.get() {
            self.write_or_start_flusher();
        }
    }

    /// As [`push`](Self::push), and sends only what there is room for now. Not a yield point.
    pub(super) fn push_last(&self, kind: FrameKind, payload: Bytes) {
        self.outbox.borrow_mut().push(kind, payload);
        if !self.is_flushing.get() {
            // A failure is the end, which comes anyway.
            let _ = self.write();
        }
    }

    /// Forgets all messages that wait: the Close frame of a failure comes next. Not a yield point.
    pub(super) fn forget_unbegun(&self) {
        self.outbox.borrow_mut().forget_unbegun();
    }

    /// Waits until everything was sent, or the time is over; then whether everything was sent. A
    /// yield point.
    pub(super) fn wait_until_sent(&self, until: Instant) -> bool {
        if self.is_flushing.get() && select(&[&self.is_sent, &at(until)]) != Ok(0) {
            return false;
        }
        self.outbox.borrow().is_empty()
    }

    pub(super) fn last_progress(&self) -> Instant {
        self.last_progress.get()
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.get()
    }

    /// Nothing more is sent: frees the buffers, ends the flusher, and lets senders that wait go
    /// on. Not a yield point.
    pub(super) fn end(&self) {
        self.is_ended.set(true);
        self.outbox.borrow_mut().end();
        self.held.borrow_mut().set(0);
        self.room.set();
        self.is_flushing.set(false);
        self.is_sent.set();
        if let Some(flusher) = self.flusher.take() {
            flusher.cancel();
        }
    }

    /// Ends the connection, which the fiber that receives notices.
    fn fail(&self, failure: Failure) {
        if self.failure.get().is_none() {
            if !matches!(failure, Failure::Broken(_)) {
                self.numbers.too_slow.bump();
            }
            self.failure.set(Some(failure));
        }
        self.outbox.borrow_mut().end();
        self.room.set();
        self.stream.abort();
    }

    fn check_open(&self) -> Result<(), Error> {
        match self.failure.get() {
            Some(failure) => Err(failure.into()),
            None if self.is_ended.get() || self.outbox.borrow().is_closed() => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// A message that is longer than the whole queue has room when nothing waits.
    fn has_room(&self, length: usize) -> bool {
        let waiting = self.outbox.borrow().bytes();
        waiting == 0
            || waiting.saturating_add(Outbox::cost(length)) <= self.settings.send_queue_bytes
    }

    /// Writes as much as there is room for; whether everything was sent. Not a yield point.
    fn write(&self) -> io::Result<bool> {
        loop {
            let mut outbox = self.outbox.borrow_mut();
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outbox.fill(&mut slices);
            if count == 0 {
                break;
            }
            match self.stream.try_write(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    outbox.advance(written);
                    self.last_progress.set(now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match self.stream.try_flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Until when a client may take nothing because of a drain.
    fn drain_end(&self, idle_since: Instant) -> Option<Instant> {
        let since = self.stream.host().draining_since()?;
        Some(since.max(idle_since) + self.settings.close_timeout)
    }

    fn start_flusher(self: &Rc<Self>) {
        let writer = Rc::clone(self);
        self.is_flushing.set(true);
        self.is_sent.clear();
        match FiberBuilder::new().name("websocket writer").spawn(move || writer.flush()) {
            Ok(flusher) => drop(self.flusher.replace(Some(flusher))),
            Err(error) => {
                self.is_flushing.set(false);
                self.fail(Failure::Broken(error.kind()));
            }
        }
    }

    /// The flusher: writes until the outbox is empty.
    fn flush(&self) {
        let timeout = self.settings.write_timeout;
        self.last_progress.set(now());
        let failure = loop {
            let waiting = self.outbox.borrow().bytes();
            self.held.borrow_mut().set(waiting);
            match self.write() {
                Ok(true) => break None,
                Ok(false) => {}
                Err(error) => break Some(Failure::Broken(error.kind())),
            }
            if self.outbox.borrow().bytes() <= self.settings.send_queue_bytes / 2 {
                self.room.set();
            }
            let idle_since = self.last_progress.get();
            let drain_end = self.drain_end(idle_since);
            let look = self.settings.close_timeout; // a drain that begins meanwhile is noticed
            match self.stream.wait_for_room((timeout, idle_since), drain_end, look) {
                Ok(Room::Made | Room::Awaited) => {}
                Ok(Room::Coming) => self.last_progress.set(now()),
                Ok(Room::Idle) => break Some(Failure::WriteTimeout(now() - idle_since)),
                Ok(Room::TooSlow) => break Some(Failure::TooSlow),
                Err(error) => break Some(Failure::Broken(error.kind())),
            }
        };
        self.is_flushing.set(false);
        self.held.borrow_mut().set(0);
        self.room.set();
        self.is_sent.set();
        failure.into_iter().for_each(|failure| self.fail(failure));
    }
}

/// How many parts of frames one system call writes: eight messages with their heads.
const SLICES_MAX: usize = 16;
