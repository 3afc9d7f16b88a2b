//! A connection's state: all that lasts while it rests.
//!
//! Its methods stand in the files above this one, each of which calls only those below it. The
//! first is `respond`, and the last `serve`, which is the line itself.

use std::cell::Cell;
use std::rc::Rc;

use crate::proto::Gap;
use crate::request::Request;
use crate::response::Response;
use crate::telemetry::Event;
use crate::wire::{Host, Link};

/// A handler, as the connection sees it.
pub(crate) type Service = dyn Fn(&mut Request) -> Response;

/// A connection's state: all that lasts while it rests.
pub(crate) struct Connection {
    pub(super) link: Rc<Link>,
    /// Flushes the link: see [`before_park`].
    pub(super) flush: Rc<dyn Fn()>,
    pub(super) host: Rc<Host>,
    pub(super) service: Rc<Service>,
    /// The empty lines behind the last request.
    pub(super) gap: Cell<Gap>,
    /// It broke, and that is told.
    pub(super) is_failed: Cell<bool>,
}

/// How a stretch of serving ends.
pub(super) enum End {
    /// Idle: nothing is buffered, and the fiber is woken when bytes come.
    Rest,
    /// Over; everything that was to be said is written.
    Close,
    /// Over, but the client may still be sending: see [`linger`].
    Linger,
    /// Over in the middle of a response, which the client is to notice.
    Cut,
}

impl Connection {
    pub(crate) fn new(link: Rc<Link>, service: Rc<Service>) -> Self {
        let output = Rc::clone(&link);
        let flush = Rc::new(move || output.flush_before_park());
        let host = Rc::clone(&link.host);
        Self {
            link,
            flush,
            host,
            service,
            gap: Cell::new(Gap::default()),
            is_failed: Cell::new(false),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.unwatch();
        // A request that was being answered will not be.
        self.link.end_request(false);
        self.host.counters().closed.bump();
        self.host.tell(&Event::ConnectionClosed { peer: &self.link.peer });
    }
}
