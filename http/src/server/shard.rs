//! One shard of a server: its state, and its life from the first accept to the last close.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use slog::{Logger, info};
use slotmap::{SlotMap, new_key_type};
use straightline_sched::{self as sched, Fiber, ShardHandle};

use super::accept::{Listener, accept_loop};
use super::counters::ShardCounters;
use super::hooks::Hooks;
use super::running::{Phase, Shared};
use crate::conn::{BufferPool, Service};
use crate::proto::{Encoder, Limits};

new_key_type! { struct ConnectionKey; }

/// What the connections of a shard share.
pub(crate) struct ShardState {
    pub(crate) service: Rc<Service>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) logger: Logger,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) counters: CountersOf,
    pub(crate) buffers: BufferPool,
    /// No connection goes on after the response it is at.
    pub(crate) draining: Cell<bool>,
    /// Every open connection; its fiber once it has one.
    connections: RefCell<SlotMap<ConnectionKey, Option<Fiber>>>,
    /// Woken when the last connection leaves a draining shard.
    root: Fiber,
    encoder: RefCell<Encoder>,
    /// When the encoder's date is out of date.
    encoder_until: Cell<Instant>,
}

/// This shard's counters among those of all.
pub(crate) struct CountersOf {
    shared: Arc<Shared>,
    index: usize,
}

/// A connection's place among those that a drain waits for.
pub(crate) struct Registered(ConnectionKey);

/// Starts a shard that serves `listeners` until the server is stopped and drained.
pub(super) fn start(
    shared: &Arc<Shared>,
    index: usize,
    listeners: Vec<Listener>,
) -> io::Result<ShardHandle<io::Result<()>>> {
    let reporter = shared.config.reporter.clone();
    let stack_bytes = shared.config.stack_bytes;
    let config = sched::Config { stack_bytes, reporter, ..sched::Config::default() };
    let shared = Arc::clone(shared);
    sched::spawn_shard(&format!("straightline-{index}"), config, move || {
        sched::set_thread_logger(shared.config.logger.clone());
        serve(&shared, index, listeners)
    })
}

fn serve(shared: &Arc<Shared>, index: usize, listeners: Vec<Listener>) -> io::Result<()> {
    let state = Rc::new(ShardState::new(shared, index));
    shared.watch_phase(index);
    let mut acceptors = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let (state, shared) = (Rc::clone(&state), Arc::clone(shared));
        acceptors.push(sched::Builder::new().name("acceptor").spawn(move || {
            accept_loop(listener, &state, &shared);
        })?);
    }
    while shared.phase() == Phase::Serving {
        sched::park();
    }

    // Who is in the backlog already is served; who comes later is told so by the closed port.
    for acceptor in acceptors {
        acceptor.fiber().unpark();
        let _ = acceptor.join(); // its faults are counted and logged by itself
    }
    state.draining.set(true);
    state.wake_connections();
    let deadline = sched::now().checked_add(shared.config.drain_timeout);
    while !state.connections.borrow().is_empty() && shared.phase() == Phase::Draining {
        // A timeout beyond the clock's range is none.
        let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(sched::now()));
        if left.is_zero() {
            break;
        }
        sched::park_timeout(left);
    }
    let cut = state.connections.borrow().len();
    (0..cut).for_each(|_| state.counters.cut.bump());
    info!(state.logger, "shard drained"; "shard" => index, "cut" => cut);
    Ok(())
    // The end of the root fiber cancels what is left.
}

impl ShardState {
    fn new(shared: &Arc<Shared>, index: usize) -> Self {
        Self {
            service: (shared.factory)(),
            limits: Rc::new(shared.config.limits.clone()),
            logger: shared.config.logger.clone(),
            hooks: Arc::clone(&shared.config.hooks),
            counters: CountersOf { shared: Arc::clone(shared), index },
            buffers: BufferPool::new(),
            draining: Cell::new(false),
            connections: RefCell::default(),
            root: sched::current(),
            encoder: RefCell::new(Encoder::new("")),
            encoder_until: Cell::new(sched::now()),
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

    pub(super) fn register(&self) -> Registered {
        Registered(self.connections.borrow_mut().insert(None))
    }

    pub(super) fn set_fiber(&self, key: ConnectionKeyOf, fiber: Fiber) {
        if let Some(place) = self.connections.borrow_mut().get_mut(key.0) {
            *place = Some(fiber);
        }
    }

    fn wake_connections(&self) {
        self.connections.borrow().values().flatten().for_each(Fiber::unpark);
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
    pub(crate) fn leave(&self, state: &ShardState) {
        let mut connections = state.connections.borrow_mut();
        connections.remove(self.0);
        if connections.is_empty() && state.draining.get() {
            state.root.unpark();
        }
    }
}

impl std::ops::Deref for CountersOf {
    type Target = ShardCounters;

    fn deref(&self) -> &ShardCounters {
        &self.shared.counters[self.index]
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
