//! What the connections of a shard share: the limits, the counters, the buffers, the date.
//!
//! The host knows no connection and no handler: the server's table holds the open connections, and
//! each connection knows its service. Only one thread uses a host. What other shards change
//! (whether too many requests are in flight, or too much memory is in use) is one atomic load.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use straightline_sched::sync::{Flag, FlagReader};
use straightline_sched::{self as sched, ShardTime};
#[cfg(feature = "_tls")]
use straightline_tls::{HandshakeError, TlsConfig, TlsInfo};

use super::buffers::BufferPool;
use crate::config::{Capacity, OnDisconnect, PanicPolicy, Peer, Timeouts};
use crate::control::{Memory, ServerHandle, Shared, Slot};
use crate::proto::{Encoder, Limits};
use crate::telemetry::{Event, FinishedRequest, RouteCounters, ShardCounters, abort};

/// A shard, as its connections see it.
pub(crate) struct Host {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) capacity: Capacity,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) buffers: BufferPool,
    /// The memory that the server uses for all its clients.
    pub(crate) memory: Arc<Memory>,
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// Finished requests are to be reported.
    wants_requests: bool,
    /// A shutdown has begun: each connection closes after its current response.
    is_shutting_down: Cell<bool>,
    /// The drain has begun: idle connections close too.
    is_draining: Cell<bool>,
    /// Since when.
    draining_since: Cell<Option<Instant>>,
    /// The same, for fibers and threads that wait for it.
    draining: Arc<Flag>,
    /// The number of the next sweep; never 0.
    sweep: Cell<u32>,
    encoder: RefCell<Encoder>,
    /// Until when the encoder's date is right.
    encoder_until: Cell<ShardTime>,
}

impl Host {
    /// For the shard of that slot, on the shard's own thread, whose turn began at `now`.
    pub(crate) fn new(shared: &Arc<Shared>, slot: &Arc<Slot>, now: ShardTime) -> Rc<Self> {
        let config = &shared.config;
        Rc::new(Self {
            limits: config.limits.clone(),
            timeouts: config.timeouts,
            capacity: config.capacity,
            on_disconnect: config.on_disconnect,
            buffers: BufferPool::new(&shared.memory),
            memory: Arc::clone(&shared.memory),
            shared: Arc::clone(shared),
            slot: Arc::clone(slot),
            wants_requests: shared.access_log.is_some() || shared.observers.want_requests(),
            is_shutting_down: Cell::new(false),
            is_draining: Cell::new(false),
            draining_since: Cell::new(None),
            draining: Arc::default(),
            sweep: Cell::new(1),
            encoder: RefCell::new(Encoder::new("")),
            encoder_until: Cell::new(now),
        })
    }

    /// The counters of this shard.
    #[inline]
    pub(crate) fn counters(&self) -> &ShardCounters {
        &self.slot.counters
    }

    pub(crate) fn handle(&self) -> ServerHandle {
        ServerHandle::new(&self.shared)
    }

    /// Whether that peer is a proxy whose connections begin with a PROXY header.
    pub(crate) fn is_proxy(&self, peer: &Peer) -> bool {
        self.shared.config.proxies.contains_peer(peer)
    }

    /// Counts a client that a proxy has named; false if it has too many connections already.
    pub(crate) fn enter_peer(&self, client: &Peer) -> bool {
        let most = self.capacity.connections_per_peer;
        most == usize::MAX || self.shared.peers.enter(client, self.slot.index, most)
    }

    /// Whether the server's listeners speak TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.shared.is_secure()
    }

    /// The TLS that the server's listeners speak.
    #[cfg(feature = "_tls")]
    pub(crate) fn tls(&self) -> Option<&TlsConfig> {
        self.shared.config.tls.as_ref()
    }

    /// Whether the server has wrappers around its handlers.
    pub(crate) fn has_wrappers(&self) -> bool {
        self.shared.config.has_wrappers
    }

    /// The counters of this shard's routes.
    #[inline]
    pub(super) fn routes(&self) -> &RouteCounters {
        &self.slot.routes
    }

    /// Whether finished requests are to be [reported](Self::report).
    #[inline]
    pub(crate) fn wants_requests(&self) -> bool {
        self.wants_requests
    }

    /// Reports a finished request.
    pub(crate) fn report(&self, request: &FinishedRequest<'_>) {
        if let Some(log) = &self.shared.access_log {
            log.write(request);
        }
        if self.wants_requests {
            self.shared.observers.emit_finished(request);
        }
    }

    #[inline]
    pub(crate) fn emit(&self, event: &Event<'_>) {
        self.shared.observers.emit(event);
    }

    /// `count` requests were answered, the first of which began at `since`. Returns how many
    /// nanoseconds ago that was.
    #[inline]
    pub(super) fn record_latency(&self, since: ShardTime, count: u64) -> u64 {
        let nanos = ShardTime::now().nanos_since(since);
        self.slot.latencies.record_nanos(nanos, count);
        nanos
    }

    /// A handler has panicked: reports that, and does what the policy says.
    #[cold]
    pub(crate) fn record_panic(&self, event: &Event<'_>) {
        self.emit(event);
        match self.shared.config.on_panic {
            PanicPolicy::Answer => {}
            PanicPolicy::DrainShard => self.slot.ask_for_renewal(),
            PanicPolicy::Abort => abort(event),
        }
    }

    /// A TLS handshake has succeeded.
    #[cfg(feature = "_tls")]
    #[cold]
    pub(crate) fn record_handshake(&self, peer: &Peer, info: &TlsInfo) {
        self.shared.tls_numbers.record(info);
        self.emit(&Event::TlsHandshake { peer, info });
    }

    /// A TLS handshake has failed.
    #[cfg(feature = "_tls")]
    #[cold]
    pub(crate) fn record_failed_handshake(&self, peer: &Peer, error: &HandshakeError) {
        self.shared.tls_numbers.record_failed(error.failure());
        self.emit(&Event::TlsHandshakeFailed { peer, error });
    }

    /// A client was not served because all clients together use as much memory as they may.
    #[cold]
    pub(crate) fn record_short_of_memory(&self, peer: &Peer) {
        self.counters().short_of_memory.bump();
        self.emit(&Event::ShortOfMemory { peer, held: self.memory.held() });
    }

    /// Whether more requests are in flight than allowed, or the server is short of memory.
    #[inline]
    pub(crate) fn is_overloaded(&self) -> bool {
        self.shared.shards.are_overloaded() || self.memory.is_short()
    }

    /// Whether a handler has kept the thread for so long that the clients were disconnected.
    #[inline]
    pub(crate) fn is_stuck(&self) -> bool {
        self.slot.is_stuck()
    }

    /// Whether a connection has to close after its current response.
    #[inline]
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.get()
    }

    pub(crate) fn set_shutting_down(&self, is_shutting_down: bool) {
        self.is_shutting_down.set(is_shutting_down);
    }

    /// Whether an idle connection has to close.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    pub(crate) fn begin_drain(&self) {
        self.is_draining.set(true);
        self.draining_since.set(Some(sched::now()));
        self.draining.set();
    }

    /// When the drain has begun, if it has.
    pub(crate) fn draining_since(&self) -> Option<Instant> {
        self.draining_since.get()
    }

    /// Set when the drain begins.
    pub(crate) fn draining(&self) -> FlagReader {
        self.draining.reader()
    }

    /// The number of the next sweep; a connection that becomes idle now records it.
    #[inline]
    pub(crate) fn sweep(&self) -> u32 {
        self.sweep.get()
    }

    /// A sweep begins; returns its number.
    pub(crate) fn begin_sweep(&self) -> u32 {
        let now = self.sweep.get();
        // After four billion sweeps the numbers start again, without 0, which means that a
        // connection is not idle.
        self.sweep.set(now.checked_add(1).unwrap_or(1));
        now
    }

    /// The encoder, with the date of this second.
    pub(crate) fn encoder(&self) -> RefMut<'_, Encoder> {
        let now = ShardTime::of_turn();
        if now >= self.encoder_until.get() {
            self.renew_encoder(now);
        }
        self.encoder.borrow_mut()
    }

    #[cold]
    fn renew_encoder(&self, now: ShardTime) {
        let date = sched::system_time();
        self.encoder.replace(Encoder::new(&httpdate::fmt_http_date(date)));
        let past_second = date.duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        let left = Duration::from_nanos(u64::from(1_000_000_000 - past_second));
        self.encoder_until.set(now + left);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("is_draining", &self.is_draining()).finish_non_exhaustive()
    }
}
