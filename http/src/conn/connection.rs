//! A connection's state: everything that is kept while the connection is idle, and its link while
//! it is active.
//!
//! The fields are changed only here. The other files of this folder are functions that are given a
//! connection, and each of them calls only those below it: `respond` is the lowest, `serve` the
//! highest.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

use http::Method;

use super::resting::Resting;
use super::service::Service;
use crate::message::{Fed, RunProtocol};
use crate::proto::{Gap, Refusal};
use crate::telemetry::Event;
use crate::wire::{Host, Input, Link, LinkPool, OpenConnection};

/// A connection's state.
///
/// At most one request is in flight. A failure of the connection is recorded once. The end of the
/// connection is recorded once too, when this is dropped, whatever else was recorded before.
pub(crate) struct Connection {
    open: Rc<OpenConnection>,
    links: Rc<LinkPool>,
    service: Rc<Service>,
    /// While the connection is active; otherwise the one that stands for none.
    link: Rc<Link>,
    /// The empty lines since the last request.
    gap: Cell<Gap>,
    /// The stream may have a handshake, which comes before the first request.
    awaits_handshake: Cell<bool>,
    /// The response in the middle of which the connection rests.
    resting: Cell<Option<Box<Resting>>>,
    /// The connection broke or ended too early, and that is recorded.
    is_failed: Cell<bool>,
}

/// How an activation of the connection's fiber ends.
pub(super) enum End {
    /// The connection is idle: nothing is buffered, and bytes from the client wake the fiber.
    Idle,
    /// The head of a response is written, whose pieces come now and then.
    Feed(Box<Fed>),
    /// The head of a response is written, and the connection is another protocol's.
    Upgrade(Box<Handover>),
    /// The connection rests in the middle of a response: nothing is buffered, and what the response
    /// waits for wakes the fiber.
    Rest,
    /// The connection is over, and every response is written.
    Close,
    /// As `Close`, but the client may still be sending: see [`linger`](crate::wire::linger).
    Linger,
    /// The connection is over in the middle of a response. The client must be able to notice that
    /// the response is not complete.
    Abort,
}

/// What a protocol needs that gets the connection.
pub(super) struct Handover {
    /// Of the request that asked for the protocol, for reports: its head is lost.
    pub(super) method: Method,
    pub(super) target: String,
    /// Bytes of the protocol that came with the request.
    pub(super) early: Vec<u8>,
    pub(super) run: Box<RunProtocol>,
}

impl Connection {
    pub(crate) fn new(
        open: Rc<OpenConnection>,
        links: Rc<LinkPool>,
        service: Rc<Service>,
        awaits_handshake: bool,
    ) -> Self {
        Self {
            open,
            link: links.no_link(),
            links,
            service,
            gap: Cell::new(Gap::default()),
            awaits_handshake: Cell::new(awaits_handshake),
            resting: Cell::new(None),
            is_failed: Cell::new(false),
        }
    }

    /// The connection becomes active.
    #[inline]
    pub(super) fn begin_activity(&mut self) {
        self.link = self.links.take(&self.open);
    }

    /// The connection is idle, or rests.
    #[inline]
    pub(super) fn end_activity(&mut self) {
        let link = mem::replace(&mut self.link, self.links.no_link());
        self.links.rest(link, &self.open);
    }

    /// The link; only for an active connection.
    #[inline]
    pub(super) fn link(&self) -> &Rc<Link> {
        debug_assert!(!self.links.is_no_link(&self.link), "an idle connection has no link");
        &self.link
    }

    #[inline]
    pub(super) fn host(&self) -> &Host {
        self.links.host()
    }

    #[inline]
    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// Whether the next bytes are, or may be, empty lines before a head.
    #[inline]
    pub(super) fn is_in_gap(&self, input: &Input) -> bool {
        let first = input.unread().first();
        first.is_some_and(|first| matches!(first, b'\r' | b'\n') || !self.gap.get().is_empty())
    }

    /// Skips empty lines before a head.
    #[cold]
    pub(super) fn skip_gap(&self, input: &mut Input) -> Result<(), Refusal> {
        let mut gap = self.gap.get();
        let count = gap.skip(input.unread())?;
        self.gap.set(gap);
        input.consume(count);
        Ok(())
    }

    /// Whether the stream may have a handshake, which has not ended.
    #[inline]
    pub(super) fn awaits_handshake(&self) -> bool {
        self.awaits_handshake.get()
    }

    /// The handshake has ended, or begins now: there is only one.
    pub(super) fn end_handshake(&self) {
        self.awaits_handshake.set(false);
    }

    /// The connection rests in the middle of this response.
    pub(super) fn rest(&self, resting: Box<Resting>) {
        self.link().begin_rest();
        self.resting.set(Some(resting));
    }

    /// The connection goes on with its response: returns the response in which it rested, if any.
    pub(super) fn end_rest(&self) -> Option<Box<Resting>> {
        self.link().end_rest();
        self.resting.take()
    }

    /// Notes that the connection broke or ended too early; false if that is noted already.
    pub(super) fn set_failed(&self) -> bool {
        !self.is_failed.replace(true)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without a link: the connection has been idle for long.
        let link = self.open.kept_link();
        if let Some(link) = &link {
            self.link = Rc::clone(link);
            link.unwatch();
            drop(self.end_rest());
            // A request that is still in flight remains unanswered.
            link.end_request(false);
        }
        self.host().counters().closed.bump();
        self.host().emit(&Event::ConnectionClosed { peer: self.open.peer() });
        if let Some(link) = link {
            self.link = self.links.no_link();
            self.links.end(link, &self.open);
        }
    }
}
