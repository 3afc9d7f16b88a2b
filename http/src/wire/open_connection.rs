//! An open connection, idle or active, as its shard sees it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_sched::{ShardTime, turn_start};

use super::connection_peer::ConnectionPeer;
use super::idle::{IdleEnd, IdleState};
use crate::config::Peer;

/// An open connection. While it is active it has a link of the type `L`. While it is idle it has
/// either that, or `R`, which is smaller.
pub(crate) struct OpenConnection<L, R> {
    peer: ConnectionPeer,
    idle: IdleState,
    /// While it is idle: how many requests it has had, and when the last of them began, or else the
    /// connection itself.
    requests: Cell<u64>,
    begun: Cell<ShardTime>,
    link: Cell<Option<Rc<L>>>,
    /// Without a link.
    rest: Cell<Option<R>>,
}

impl<L, R> OpenConnection<L, R> {
    /// A connection that came at `begun`, and is idle.
    pub(crate) fn new(peer: ConnectionPeer, begun: ShardTime, rest: Option<R>) -> Self {
        Self {
            peer,
            idle: IdleState::new(),
            requests: Cell::new(0),
            begun: Cell::new(begun),
            link: Cell::new(None),
            rest: Cell::new(rest),
        }
    }

    /// The client, as far as it is known.
    #[inline]
    pub(crate) fn peer(&self) -> &Peer {
        self.peer.get()
    }

    /// The client, and the proxy that names it.
    pub(super) fn connection_peer(&self) -> &ConnectionPeer {
        &self.peer
    }

    /// The client, if it counts among the connections of its address.
    pub(crate) fn counted_peer(&self) -> Option<&Peer> {
        self.peer.counted()
    }

    /// Whether the connection is idle, and why it is to close.
    #[inline]
    pub(super) fn idle(&self) -> &IdleState {
        &self.idle
    }

    /// The link, unless the connection is idle.
    pub(crate) fn link(&self) -> Option<Rc<L>> {
        if self.idle.since().is_some() { None } else { self.kept_link() }
    }

    /// The link, also that of an idle connection.
    #[inline]
    pub(crate) fn kept_link(&self) -> Option<Rc<L>> {
        let link = self.link.take();
        let copy = link.clone();
        self.link.set(link);
        copy
    }

    pub(super) fn set_link(&self, link: Rc<L>) {
        self.link.set(Some(link));
    }

    pub(super) fn take_link(&self) -> Option<Rc<L>> {
        self.link.take()
    }

    /// What the connection keeps without a link.
    pub(super) fn set_rest(&self, rest: R) {
        self.rest.set(Some(rest));
    }

    pub(super) fn take_rest(&self) -> Option<R> {
        self.rest.take()
    }

    /// The connection is idle, or has ended, after so many requests, the last of which began then.
    #[inline]
    pub(super) fn record_rest(&self, requests: u64, begun: ShardTime) {
        self.requests.set(requests);
        self.begun.set(begun);
    }

    /// What was recorded when it became idle.
    #[inline]
    pub(super) fn progress(&self) -> (u64, ShardTime) {
        (self.requests.get(), self.begun.get())
    }

    /// Of an idle connection: whether no request has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.requests.get() == 0
    }

    /// Of an idle connection: see [`first_request_until`].
    pub(crate) fn first_request_until(&self) -> Option<Instant> {
        first_request_until(self.requests.get(), self.begun.get())
    }

    /// In which sweep of its shard the connection became idle; `None` while it is active.
    pub(crate) fn idle_since(&self) -> Option<u32> {
        self.idle.since()
    }

    /// The idle connection is to close. The caller has to wake its fiber for that.
    pub(crate) fn end_idle(&self, why: IdleEnd) {
        self.idle.set_end(why);
    }

    /// Why the idle connection is to close, if it is.
    pub(crate) fn idle_end(&self) -> Option<IdleEnd> {
        self.idle.end()
    }
}

/// For a connection that was opened a moment ago, at `begun`: until when the server waits for its
/// first request although it shuts down. That request has been on its way since the client
/// connected.
pub(super) fn first_request_until(requests: u64, begun: ShardTime) -> Option<Instant> {
    let nanos = ShardTime::of_turn().nanos_since(begun);
    let left = FIRST_REQUEST_TIME.checked_sub(Duration::from_nanos(nanos))?;
    (requests == 0 && !left.is_zero()).then(|| turn_start() + left)
}

// An idle connection is to be small.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<OpenConnection<(), [usize; 4]>>() <= 112);

/// How long a server that shuts down waits for the first request of a connection, from its accept
/// on. Arbitrary: some slow round trips.
const FIRST_REQUEST_TIME: Duration = Duration::from_secs(1);
