//! A conversation with one client: what is received and sent, its timers, and how it ends.
//!
//! The state only advances, from `Open` by `Closing` (the Close frame was sent, and the client's is
//! awaited) to `Over`. The fiber that receives does all of it: it answers Pings, sends its own,
//! sees the drain, and keeps the times. A program that does not receive has no timers.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use straightline_sched::sync::{FlagReader, Selectable, Timer, at, select};
use straightline_sched::{Interest, checkpoint, now, turn_start};

use super::close::{CloseCode, CloseFrame};
use super::decoder::Item;
#[cfg(feature = "websocket-deflate")]
use super::deflate::deflate;
use super::error::Error;
use super::frame::FrameKind;
use super::handshake::Agreed;
use super::message::Message;
use super::numbers::Numbers;
use super::reader::{Found, ReadFault, Reader};
use super::settings::Settings;
use super::writer::Writer;
use crate::config::Peer;
use crate::telemetry::Event;
use crate::wire::{TriedStream, Upgraded};

/// What the ends of a WebSocket share.
pub(super) struct Conversation {
    stream: Rc<TriedStream>,
    settings: Arc<Settings>,
    numbers: Arc<Numbers>,
    /// The subprotocol that was agreed on, as an index.
    protocol: Option<usize>,
    #[cfg(feature = "websocket-deflate")]
    is_compressing: bool,
    reader: Reader,
    writer: Rc<Writer>,
    state: Cell<State>,
    last_ping: Cell<Instant>,
    /// How many Pings of those that came at once were answered.
    pongs: Cell<u32>,
    /// When this side began the end.
    closing_since: Cell<Option<Instant>>,
    close_frame: RefCell<Option<CloseFrame>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The Close frame was sent at that time, and the client's has not come.
    Closing(Instant),
    Over,
}

/// What a wait has ended with.
pub(super) enum Received {
    Message(Message),
    /// That thing of the caller is ready.
    Other(usize),
    Closed,
}

impl Conversation {
    #[inline(never)] // its frame would stay on the stack below the program's function
    pub(super) fn new(
        upgraded: Upgraded,
        settings: Arc<Settings>,
        numbers: Arc<Numbers>,
        agreed: &Agreed,
    ) -> Rc<Self> {
        let stream = Rc::new(TriedStream::new(upgraded));
        let is_compressing = agreed.compression.is_some();
        numbers.opened.bump();
        numbers.open.bump();
        Rc::new(Self {
            reader: Reader::new(Rc::clone(&stream), settings.limits, is_compressing),
            writer: Writer::new(Rc::clone(&stream), Arc::clone(&settings), Arc::clone(&numbers)),
            stream,
            settings,
            numbers,
            protocol: agreed.protocol,
            #[cfg(feature = "websocket-deflate")]
            is_compressing,
            state: Cell::new(State::Open),
            last_ping: Cell::new(turn_start()),
            pongs: Cell::new(0),
            closing_since: Cell::new(None),
            close_frame: RefCell::new(None),
        })
    }

    pub(super) fn peer(&self) -> &Peer {
        self.stream.peer()
    }

    pub(super) fn protocol(&self) -> Option<&str> {
        self.settings.protocols.get(self.protocol?).map(String::as_str)
    }

    pub(super) fn close_frame(&self) -> Option<CloseFrame> {
        self.close_frame.borrow().clone()
    }

    pub(super) fn draining(&self) -> FlagReader {
        self.stream.host().draining()
    }

    /// A yield point, which raises before anything is sent.
    pub(super) fn send(&self, message: Message) -> Result<(), Error> {
        let kind = match &message {
            Message::Text(_) => FrameKind::Text,
            Message::Binary(_) => FrameKind::Binary,
        };
        let payload = message.into_bytes();
        #[cfg(feature = "websocket-deflate")]
        if let Some(compressed) = self.is_compressing.then(|| deflate(&payload)).flatten() {
            let kind = match kind {
                FrameKind::Text => FrameKind::CompressedText,
                _ => FrameKind::CompressedBinary,
            };
            drop(payload); // the wait for the client needs the compressed bytes alone
            return self.writer.send(kind, compressed);
        }
        self.writer.send(kind, payload)
    }

    /// Begins the end, unless it has begun. Not a yield point.
    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        if self.state.get() == State::Open {
            self.state.set(State::Closing(now()));
            self.closing_since.set(Some(now()));
            self.writer.push(FrameKind::Close, CloseFrame::payload(code, reason));
        }
    }

    /// The next message, or the first of `others` that is ready. A yield point, which raises before
    /// anything is taken.
    pub(super) fn next(&self, others: &[&dyn Selectable]) -> Result<Received, Error> {
        // A try has found nothing, so the next one is after a wait.
        let mut is_blocked = false;
        loop {
            checkpoint();
            if let Some(failure) = self.writer.failure() {
                self.end_with(None);
                return Err(failure.into());
            }
            if self.state.get() == State::Over {
                return Ok(Received::Closed);
            }
            let found = match self.reader.next_pending() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.writer.send_pong();
                    self.pongs.set(0);
                    if self.stream.host().is_draining() {
                        self.close(CloseCode::GOING_AWAY, "");
                    }
                    if let Some(index) = self.wait(others, is_blocked)? {
                        return Ok(Received::Other(index));
                    }
                    if self.state.get() == State::Over {
                        continue;
                    }
                    let found = self.reader.try_next().map_err(|fault| self.fail(fault))?;
                    is_blocked = matches!(found, Found::Nothing);
                    found
                }
                Err(fault) => return Err(self.fail(fault)),
            };
            match found {
                Found::Item(item) => {
                    if let Some(message) = self.take(item) {
                        self.writer.send_pong(); // the program may not come back for long
                        return Ok(Received::Message(message));
                    }
                }
                Found::Part | Found::Nothing => {}
                Found::End => return self.end_of_stream(),
            }
        }
    }

    /// Runs the end of the conversation, whose program has returned that.
    ///
    /// A yield point.
    #[inline(never)] // as `new`
    pub(super) fn finish(&self, result: io::Result<()>) -> io::Result<()> {
        let result = match result {
            Err(error) if is_closed(&error) && self.state.get() != State::Open => Ok(()),
            result => result,
        };
        match result {
            Ok(()) => self.close(CloseCode::NORMAL, ""),
            Err(_) if self.state.get() == State::Open => {
                self.end_with(Some((CloseCode::INTERNAL_ERROR, "")));
            }
            Err(_) => {}
        }
        // What comes before the client's Close frame is dropped.
        let closed = loop {
            match self.next(&[]) {
                Ok(Received::Closed) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(io::Error::from(error)),
            }
        };
        let until = now() + self.settings.close_timeout;
        let drain_end = self.closing_since.get().and_then(|since| self.drain_end(since));
        if !self.writer.wait_until_sent(drain_end.map_or(until, |end| end.min(until))) {
            self.numbers.too_slow.bump();
            self.stream.abort();
        }
        let result = result.and(closed);
        if result.is_ok() {
            self.report_end();
        }
        result
    }

    /// The conversation is over, in whatever way: frees everything. Not a yield point.
    pub(super) fn end(&self) {
        if thread::panicking() && self.state.get() == State::Open {
            let is_draining = self.stream.host().is_draining();
            let code = if is_draining { CloseCode::GOING_AWAY } else { CloseCode::INTERNAL_ERROR };
            self.writer.push_last(FrameKind::Close, CloseFrame::payload(code, ""));
        }
        self.state.set(State::Over);
        self.reader.end();
        self.writer.end();
        self.numbers.open.lower();
    }

    /// Waits until there may be something to read; then `None`. Or until one of `others` is ready.
    fn wait(&self, others: &[&dyn Selectable], is_blocked: bool) -> Result<Option<usize>, Error> {
        let timer = self.next_time();
        if timer.is_some_and(|time| time <= turn_start()) {
            self.on_time()?;
            return Ok(None);
        }
        let waited = match self.state.get() {
            State::Open if !others.is_empty() => return self.select(others, timer),
            _ if !is_blocked && !self.stream.is_drained() => return Ok(None),
            _ => self.stream.wait_until(Interest::Read, timer),
        };
        waited.map(|_| None).map_err(|error| self.fail(ReadFault::Stream(error)))
    }

    #[inline(never)] // as `on_time`: a wait for the client alone needs no room for it
    fn select(
        &self,
        others: &[&dyn Selectable],
        timer: Option<Instant>,
    ) -> Result<Option<usize>, Error> {
        let (readable, draining) = (self.stream.readable(), self.draining());
        let timer: Option<Timer> = timer.map(at);
        let mut things: Vec<&dyn Selectable> = Vec::with_capacity(others.len() + 3);
        things.extend([&readable as &dyn Selectable, &draining]);
        things.extend_from_slice(others);
        things.extend(timer.as_ref().map(|timer| timer as &dyn Selectable));
        let index = select(&things).map_err(|error| Error::Disconnected(error.into()))?;
        Ok(index.checked_sub(2).filter(|other| *other < others.len()))
    }

    /// When the conversation has to do something although nothing comes.
    fn next_time(&self) -> Option<Instant> {
        match self.state.get() {
            State::Open => {
                let received = self.reader.last_received();
                let active = received.max(self.last_ping.get());
                let ping = self.settings.ping_interval.map(|interval| active + interval);
                let idle = self.settings.idle_timeout.map(|time| received + time);
                [ping, idle].into_iter().flatten().min()
            }
            // A client that still reads what was sent before has its time, up to a bound.
            State::Closing(since) => {
                if let Some(end) = self.drain_end(since) {
                    return Some(end);
                }
                let progress = since.max(self.writer.last_progress());
                let slowest = since + self.settings.write_timeout.max(self.settings.close_timeout);
                Some((progress + self.settings.close_timeout).min(slowest))
            }
            State::Over => None,
        }
    }

    /// When a drain ends the conversation, which was closed then: a client that still reads has no
    /// longer time than one that does not.
    fn drain_end(&self, closing_since: Instant) -> Option<Instant> {
        let since = self.stream.host().draining_since()?;
        Some(since.max(closing_since) + self.settings.close_timeout)
    }

    /// That time has come.
    #[inline(never)]
    fn on_time(&self) -> Result<(), Error> {
        if matches!(self.state.get(), State::Closing(_)) {
            self.numbers.unanswered_closes.bump();
            self.state.set(State::Over);
            return Ok(());
        }
        let (received, now) = (self.reader.last_received(), turn_start());
        if let Some(time) = self.settings.idle_timeout.filter(|time| now >= received + *time) {
            self.numbers.idle.bump();
            self.end_with(Some((CloseCode::POLICY, "idle")));
            return Err(Error::Idle(time));
        }
        self.last_ping.set(now);
        self.numbers.pings.bump();
        self.writer.push(FrameKind::Ping, Bytes::new());
        Ok(())
    }

    /// Does what a received item asks for; the message, if it is one that the program gets.
    fn take(&self, item: Item) -> Option<Message> {
        let is_open = self.state.get() == State::Open;
        match item {
            Item::Message(message) if is_open => {
                self.numbers.received.bump();
                return Some(message);
            }
            Item::Ping(payload) if is_open => self.answer_ping(payload),
            Item::Message(_) | Item::Ping(_) | Item::Pong => {}
            #[cfg(feature = "websocket-deflate")]
            Item::Compressed { .. } => {} // never: the reader inflates it
            Item::Close(frame) => {
                // RFC 6455 section 5.5.1: the answer has the same code.
                let code = frame.code.map(|code| CloseFrame::payload(code, ""));
                self.writer.push(FrameKind::Close, code.unwrap_or_default());
                self.close_frame.replace(Some(frame));
                self.state.set(State::Over);
            }
        }
        None
    }

    /// Each Ping of a client costs a system call, if it is answered. So of many Pings that come at
    /// once only the first ones are, and the last (RFC 6455 section 5.5.3).
    fn answer_ping(&self, payload: Bytes) {
        if self.pongs.get() < PONGS_MAX {
            self.pongs.update(|count| count + 1);
            self.writer.push(FrameKind::Pong, payload);
        } else {
            self.writer.put_pong(payload);
        }
    }

    #[cold]
    fn end_of_stream(&self) -> Result<Received, Error> {
        let is_closing = self.state.get() != State::Open;
        self.end_with(None);
        match self.writer.failure() {
            Some(failure) => Err(failure.into()),
            None if is_closing => Ok(Received::Closed),
            None => {
                let message = "the stream ended without a Close frame";
                let error = io::Error::new(ErrorKind::UnexpectedEof, message);
                Err(Error::Disconnected(error))
            }
        }
    }

    /// Nothing more can be received: the client is told why, if it can be.
    #[cold]
    fn fail(&self, fault: ReadFault) -> Error {
        if let Some(failure) = self.writer.failure() {
            self.end_with(None);
            return failure.into();
        }
        match fault {
            ReadFault::Violation(violation) => {
                self.writer.send_pong(); // it was asked for before the fault
                self.numbers.violations.bump();
                self.end_with(Some((violation.code, violation.what)));
                Error::Violation { code: violation.code, what: violation.what }
            }
            ReadFault::ShortOfMemory => {
                self.stream.host().record_short_of_memory(self.peer());
                self.end_with(Some((CloseCode::TRY_AGAIN_LATER, "")));
                Error::ShortOfMemory
            }
            ReadFault::Stream(error) => {
                self.end_with(None);
                Error::Disconnected(error)
            }
        }
    }

    /// The conversation is over. A client that is told why gets no message that waits.
    fn end_with(&self, reason: Option<(CloseCode, &str)>) {
        match reason {
            Some((code, reason)) => {
                self.writer.forget_unbegun();
                self.writer.push(FrameKind::Close, CloseFrame::payload(code, reason));
            }
            None => self.writer.end(),
        }
        self.state.set(State::Over);
    }

    fn report_end(&self) {
        let frame = self.close_frame.borrow();
        let code = frame.as_ref().and_then(|frame| frame.code).map_or(0, CloseCode::number);
        let message = match &*frame {
            Some(_) if code > 0 => format_args!("closed, the client said {code}"),
            Some(_) => format_args!("closed"),
            None => format_args!("closed, and the client did not answer"),
        };
        let (peer, protocol) = (self.peer(), "websocket");
        self.stream.host().emit(&Event::ProtocolReported { peer, protocol, message: &message });
    }
}

/// How many Pings that came at once are answered, and the last one. Arbitrary: more than a client
/// has a reason to send.
const PONGS_MAX: u32 = 16;

/// Whether the program has passed on that the conversation is closed.
fn is_closed(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::Closed))
}
