//! What the connections of a shard have in common, and which of them are open.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use slotmap::{SlotMap, new_key_type};
use straightline_sched::{self as sched, Fiber, FiberInfo};

use super::evict::Evictable;
use super::sweep::Sweeps;
use crate::config::{Capacity, OnDisconnect, Peer, Timeouts};
use crate::conn::{BufferPool, Link, RestEnd, Service};
use crate::control::{Memory, ServerHandle, Shared, Slot};
use crate::proto::{Encoder, Limits};
use crate::telemetry::{AccessLog, Event, ShardCounters};

new_key_type! { pub(super) struct ConnectionKey; }

/// What the connections of a shard share.
pub(crate) struct ShardState {
    pub(crate) service: Rc<Service>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) capacity: Capacity,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) counters: CountersOf,
    pub(crate) buffers: BufferPool,
    /// What all clients of the server have it use.
    pub(crate) memory: Arc<Memory>,
    /// A stop has begun: no connection goes on after the response it is at.
    pub(crate) is_ending: Cell<bool>,
    /// And those at rest close.
    pub(crate) draining: Cell<bool>,
    pub(super) shared: Arc<Shared>,
    /// Who is turned away is told so in these words.
    pub(super) refusal: Vec<u8>,
    /// How many of them are still told.
    pub(super) refusing: Cell<usize>,
    /// Every open connection.
    pub(super) connections: RefCell<SlotMap<ConnectionKey, Entry>>,
    /// Those that may go if there is no room for another.
    pub(super) evictable: Evictable,
    /// How often they were looked through; see `sweep`.
    sweep: Cell<u32>,
    /// To be woken by the next connection, or by the next that leaves.
    sweeper: RefCell<Option<Fiber>>,
    waiting_acceptors: RefCell<Vec<Fiber>>,
    /// How many connections have left.
    leaves: Cell<u64>,
    /// Woken when the last connection leaves a draining shard.
    root: Fiber,
    encoder: RefCell<Encoder>,
    /// When the encoder's date is out of date.
    encoder_until: Cell<Instant>,
}

/// An open connection.
pub(super) struct Entry {
    pub(super) link: Rc<Link>,
    /// Its fiber, once it has one.
    pub(super) fiber: Option<Fiber>,
}

/// This shard's counters among those of all.
pub(crate) struct CountersOf(Arc<Slot>);

/// A connection's place among those that a drain waits for.
pub(crate) struct Registered(ConnectionKey);

impl ShardState {
    pub(super) fn new(shared: &Arc<Shared>, slot: &Arc<Slot>, service: Rc<Service>) -> Self {
        let config = &shared.config;
        Self {
            service,
            limits: config.limits.clone(),
            timeouts: config.timeouts,
            capacity: config.capacity,
            on_disconnect: config.on_disconnect,
            counters: CountersOf(Arc::clone(slot)),
            buffers: BufferPool::new(&shared.memory),
            memory: Arc::clone(&shared.memory),
            is_ending: Cell::new(false),
            draining: Cell::new(false),
            shared: Arc::clone(shared),
            refusal: config.capacity.refusal(),
            refusing: Cell::new(0),
            connections: RefCell::default(),
            evictable: Evictable::default(),
            sweep: Cell::new(1),
            sweeper: RefCell::new(None),
            waiting_acceptors: RefCell::default(),
            leaves: Cell::new(0),
            root: sched::current(),
            encoder: RefCell::new(Encoder::new("")),
            encoder_until: Cell::new(sched::now()),
        }
    }

    pub(crate) fn access_log(&self) -> Option<&AccessLog> {
        self.shared.access_log.as_deref()
    }

    /// So many requests were answered, the first of which began then.
    pub(crate) fn record_latency(&self, since: Instant, count: u64) {
        let time = sched::clock().saturating_duration_since(since);
        self.counters.0.latencies.record(time, count);
    }

    #[inline]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.shared.observers.emit(event);
    }

    pub(crate) fn handle(&self) -> ServerHandle {
        ServerHandle::new(&self.shared)
    }

    /// A client could not be served, as all of them use as much memory as they may.
    #[cold]
    pub(crate) fn note_short_of_memory(&self, peer: &Peer) {
        self.counters.short_of_memory.bump();
        self.tell(&Event::ShortOfMemory { peer, held: self.memory.held() });
    }

    /// Whether one request more than there may be is in flight, or the server short of memory.
    #[inline]
    pub(crate) fn is_overloaded(&self) -> bool {
        // To look at all the others for each request would be slow, and is hardly ever needed.
        self.shared.is_crowded.load(Ordering::Relaxed) && self.is_overloaded_in_all()
            || self.memory.is_short()
    }

    #[cold]
    fn is_overloaded_in_all(&self) -> bool {
        self.shared.in_flight() > self.capacity.in_flight as u64
    }

    /// The number of the sweep that comes next.
    pub(crate) fn sweep(&self) -> u32 {
        self.sweep.get()
    }

    /// Waits until there are any.
    pub(super) fn wait_for_connections(&self) {
        while self.connections.borrow().is_empty() {
            self.sweeper.replace(Some(sched::current()));
            sched::park();
        }
    }

    /// Wakes every connection that has rested for too long, to its end.
    pub(super) fn expire(&self, sweeps: Sweeps) {
        let now = self.sweep.get();
        // After four billion sweeps the numbers come again, but for the one that means none.
        self.sweep.set(now.checked_add(1).unwrap_or(1));
        let connections = self.connections.borrow();
        for Entry { link, fiber } in connections.values() {
            let since = link.rests_since.get();
            let most = if link.requests.get() == 0 { sweeps.new } else { sweeps.idle };
            if since != 0 && now.saturating_sub(since) >= most {
                link.rest_end.set(Some(RestEnd::Expired));
                fiber.iter().for_each(Fiber::unpark);
            }
        }
    }

    /// The encoder, with the date of this second.
    pub(crate) fn encoder(&self) -> RefMut<'_, Encoder> {
        let now = sched::now();
        if now >= self.encoder_until.get() {
            self.renew_encoder(now);
        }
        self.encoder.borrow_mut()
    }

    #[cold]
    fn renew_encoder(&self, now: Instant) {
        let date = sched::system_time();
        self.encoder.replace(Encoder::new(&httpdate::fmt_http_date(date)));
        let past_second = date.duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        let left = Duration::from_nanos(u64::from(1_000_000_000 - past_second));
        self.encoder_until.set(now + left);
    }

    /// Enters a connection, whose fiber comes later.
    pub(super) fn register(&self, link: &Rc<Link>) -> Registered {
        self.shared.note_crowd();
        let entry = Entry { link: Rc::clone(link), fiber: None };
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.unpark();
        }
        Registered(self.connections.borrow_mut().insert(entry))
    }

    pub(super) fn set_fiber(&self, key: ConnectionKeyOf, fiber: Fiber) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(key.0) {
            entry.fiber = Some(fiber);
        }
    }

    /// Ends the connection of a fiber that was given up, if it had one: all of that is the fiber's,
    /// which does nothing any more.
    pub(super) fn lose(&self, fiber: &FiberInfo) {
        let connections = self.connections.borrow();
        let is_its = |entry: &Entry| entry.fiber.as_ref().is_some_and(|of| of.number() == fiber.id);
        let lost = connections.iter().find(|(_, entry)| is_its(entry));
        let Some((key, link)) = lost.map(|(key, entry)| (key, Rc::clone(&entry.link))) else {
            return;
        };
        drop(connections);
        link.lose();
        self.counters.aborted.bump();
        self.counters.closed.bump();
        self.leave(key, &link);
        let error = io::Error::other("the connection's fiber was given up");
        self.tell(&Event::ConnectionFailed { peer: &link.peer, error: &error });
        self.tell(&Event::ConnectionClosed { peer: &link.peer });
    }

    /// The connection is over.
    fn leave(&self, key: ConnectionKey, link: &Link) {
        if self.capacity.connections_per_peer != usize::MAX {
            self.shared.peers.leave(&link.peer, self.counters.0.index);
        }
        self.shared.note_crowd();
        // Dropped when the table is not borrowed any more.
        let _entry = self.connections.borrow_mut().remove(key);
        self.leaves.set(self.leaves.get() + 1);
        self.waiting_acceptors.borrow_mut().drain(..).for_each(|acceptor| acceptor.unpark());
        if self.connections.borrow().is_empty() && self.draining.get() {
            self.root.unpark();
        }
    }

    /// Whether it is that slot's shard.
    pub(super) fn is_of(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.counters.0, slot)
    }

    pub(super) fn leaves(&self) -> u64 {
        self.leaves.get()
    }

    /// Has the calling fiber unparked when the next connection leaves.
    pub(super) fn await_leave(&self) {
        self.waiting_acceptors.borrow_mut().push(sched::current());
    }
}

/// Names a registered connection without being its registration.
#[derive(Clone, Copy)]
pub(super) struct ConnectionKeyOf(ConnectionKey);

impl Registered {
    pub(super) fn key(&self) -> ConnectionKeyOf {
        ConnectionKeyOf(self.0)
    }

    /// The connection is over.
    pub(crate) fn leave(&self, link: &Link) {
        link.shard.leave(self.0, link);
    }
}

impl Deref for CountersOf {
    type Target = ShardCounters;

    fn deref(&self) -> &ShardCounters {
        &self.0.counters
    }
}

impl CountersOf {
    pub(super) fn slot(&self) -> &Slot {
        &self.0
    }
}

impl fmt::Debug for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardState")
            .field("connections", &self.connections.borrow().len())
            .field("draining", &self.draining.get())
            .finish_non_exhaustive()
    }
}
