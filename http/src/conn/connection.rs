//! A connection's state: all that lasts while it rests.
//!
//! One request is in flight at a time. The connection's end is counted and told once, when this is
//! dropped, whatever else was told before.
//!
//! The fields are changed only here. The other files of this folder are functions that are given a
//! connection, and each of them calls only those below it: `respond` is the lowest, `serve` the
//! highest.

use std::cell::Cell;
use std::rc::Rc;

use crate::proto::{Gap, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::telemetry::Event;
use crate::wire::{Host, Input, Link};

/// A handler, as the connection sees it.
pub(crate) type Service = dyn Fn(&mut Request) -> Response;

/// A connection's state: all that lasts while it rests.
pub(crate) struct Connection {
    link: Rc<Link>,
    /// Flushes the link: see [`before_park`](straightline_sched::before_park).
    flush_hook: Rc<dyn Fn()>,
    host: Rc<Host>,
    service: Rc<Service>,
    /// The empty lines behind the last request.
    gap: Cell<Gap>,
    /// It broke, and that is told.
    is_failed: Cell<bool>,
}

/// How a stretch of serving ends.
pub(super) enum End {
    /// Idle: nothing is buffered, and the fiber is woken when bytes come.
    Rest,
    /// Over; everything that was to be said is written.
    Close,
    /// Over, but the client may still be sending: see [`linger`](crate::wire::linger).
    Linger,
    /// Over in the middle of a response, which the client is to notice.
    Cut,
}

impl Connection {
    pub(crate) fn new(link: Rc<Link>, service: Rc<Service>) -> Self {
        let output = Rc::clone(&link);
        let flush_hook = Rc::new(move || output.flush_before_park());
        let host = Rc::clone(&link.host);
        Self {
            link,
            flush_hook,
            host,
            service,
            gap: Cell::new(Gap::default()),
            is_failed: Cell::new(false),
        }
    }

    #[inline]
    pub(super) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    #[inline]
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    #[inline]
    pub(super) fn service(&self) -> &Service {
        &*self.service
    }

    /// The hook for [`before_park`](straightline_sched::before_park) that flushes the link.
    #[inline]
    pub(super) fn flush_hook(&self) -> &Rc<dyn Fn()> {
        &self.flush_hook
    }

    /// Whether the next bytes are, or may be, empty lines before a head.
    #[inline]
    pub(super) fn is_in_gap(&self, input: &Input) -> bool {
        let first = input.unread().first();
        first.is_some_and(|first| matches!(first, b'\r' | b'\n') || !self.gap.get().is_empty())
    }

    /// Passes over empty lines before a head.
    #[cold]
    pub(super) fn pass_gap(&self, input: &mut Input) -> Result<(), Refusal> {
        let mut gap = self.gap.get();
        let count = gap.skip(input.unread())?;
        self.gap.set(gap);
        input.consume(count);
        Ok(())
    }

    /// It has broken, or ended too early; false if it had before.
    pub(super) fn fails(&self) -> bool {
        !self.is_failed.replace(true)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.unwatch();
        // A request that was being answered will not be.
        self.link.end_request(false);
        self.host.counters().closed.bump();
        self.host.emit(&Event::ConnectionClosed { peer: &self.link.peer });
    }
}
