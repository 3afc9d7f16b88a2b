//! One shard of a server: its state, and its life from the first accept to the last close.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use slotmap::{SlotMap, new_key_type};
use straightline_sched::{self as sched, Fiber, FiberInfo, JoinHandle, ShardHandle, sim};

use super::accept::accept_loop;
use super::evict::Evictable;
use super::lending::{self, Loan};
use super::running::ServerHandle;
use super::shared::Shared;
use super::slot::{Handed, Slot};
use super::sweep::{Sweeps, sweep};
use super::takeover;
use crate::config::{Capacity, OnDisconnect, Peer, Phase, Timeouts};
use crate::conn::{BufferPool, Link, RestEnd, Service};
use crate::control::Memory;
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

/// Starts a shard that serves what it is handed, until the server is stopped and drained, or it is
/// retired.
pub(super) fn start(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
) -> io::Result<ShardHandle<io::Result<()>>> {
    let config = sched::Config {
        stack_bytes: shared.config.stack_bytes,
        busy_limit: shared.config.busy_limit,
        stuck_limit: shared.config.stuck_limit,
        reporter: takeover::reporter(shared, slot),
        ..sched::Config::default()
    };
    let host = *shared.host.get_or_init(sim::host);
    let (shared, slot) = (Arc::clone(shared), Arc::clone(slot));
    let name = format!("straightline-{}", slot.index);
    let root = move || {
        if let Some(logger) = &shared.config.logger {
            sched::set_thread_logger(logger.clone());
        }
        let result = serve(&shared, &slot);
        slot.ends();
        result
    };
    sched::spawn_shard(&name, config, move || match host {
        Some(host) => sim::on_host(host, root),
        None => root(),
    })
}

fn serve(shared: &Arc<Shared>, slot: &Arc<Slot>) -> io::Result<()> {
    let state = Rc::new(ShardState::new(shared, slot));
    HERE.with_borrow_mut(|here| {
        here.retain(|state| state.strong_count() > 0);
        here.push(Rc::downgrade(&state));
    });
    slot.runs();
    let sweeps = Sweeps::of(state.timeouts.head, state.timeouts.idle);
    let swept = Rc::clone(&state);
    sched::Builder::new().name("sweeper").spawn(move || sweep(&swept, sweeps))?;
    if let Some(acceptors) = accept_until_drain(shared, slot, &state) {
        let drained = Rc::clone(&state);
        // If it cannot be started those that do nothing are waited for like others.
        let _ = sched::Builder::new().name("drain").spawn(move || end_idle_protocols(&drained));
        state.drain(acceptors);
    }
    Ok(())
    // The end of the root fiber cancels what is left.
}

/// A fiber that accepts, and when it is to end.
struct Acceptor {
    fiber: JoinHandle<()>,
    loan: Option<Arc<Loan>>,
}

/// Accepts from whatever the shard is handed, until it is to drain; `None` if it is retired.
fn accept_until_drain(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    state: &Rc<ShardState>,
) -> Option<Vec<Acceptor>> {
    let (mut acceptors, mut waiting) = (Vec::new(), Vec::new());
    let (mut unready_since, mut idle_since) = (None, None);
    // Its own, and those that the handler started when it was made.
    let fibers = sched::stats().fibers_now;
    while !slot.is_retired.load(Ordering::SeqCst) {
        if slot.is_stuck.swap(false, Ordering::SeqCst) {
            lending::settle(shared); // whatever it was, the thread is free again
        }
        waiting.extend(slot.take_handed());
        waiting.retain_mut(|handed| !state.take_up(handed, &mut acceptors));
        acceptors.retain(Acceptor::goes_on);
        let mut pause = if waiting.is_empty() { Duration::MAX } else { TAKE_UP_AGAIN };
        state.is_ending.set(shared.phase() > Phase::Serving);
        match shared.phase() {
            Phase::Serving => {}
            Phase::Unready => {
                let since = *unready_since.get_or_insert_with(sched::now);
                let past = sched::now().saturating_duration_since(since);
                let left = shared.config.ready_delay.saturating_sub(past);
                if left.is_zero() {
                    shared.advance(Phase::Draining);
                    continue;
                }
                pause = pause.min(left);
            }
            Phase::Draining | Phase::Cutting => return Some(acceptors),
        }
        if acceptors.is_empty() && slot.is_spare.load(Ordering::SeqCst) {
            let now = sched::now();
            let since = *idle_since.get_or_insert(now);
            if sched::stats().fibers_now > fibers {
                idle_since = None;
            } else if now.saturating_duration_since(since) >= SPARE_TIME {
                lending::retire_spare(shared, slot);
                continue;
            }
            pause = pause.min(SPARE_TIME / 10);
        } else {
            idle_since = None;
        }
        sched::park_timeout(pause);
    }
    None
}

impl Acceptor {
    /// Whether it goes on; if not, it gets to know.
    fn goes_on(&self) -> bool {
        let goes_on = self.loan.as_ref().is_none_or(|loan| !loan.is_over());
        if !goes_on {
            self.fiber.fiber().unpark();
        }
        goes_on
    }
}

/// Ends, while they are waited for, upgraded connections of which nothing comes or leaves.
fn end_idle_protocols(state: &ShardState) {
    let begin = sched::now();
    loop {
        sched::sleep(PROTOCOL_IDLE / 5);
        let Some(since) = sched::now().checked_sub(PROTOCOL_IDLE) else { continue };
        if since < begin {
            continue;
        }
        for Entry { link, .. } in state.connections.borrow().values() {
            if let Some(protocol) = link.protocol.get()
                && protocol.is_idle_since(since)
            {
                protocol.cut();
                state.counters.cut.bump();
                link.lease.end();
            }
        }
    }
}

/// How long a drain waits for an upgraded connection that does nothing and has not asked to hear of
/// drains. Arbitrary: a slow round trip or two, as an answer may be under way.
const PROTOCOL_IDLE: Duration = Duration::from_secs(5);

thread_local! {
    /// The shards of this thread: one, or those of a simulation.
    static HERE: RefCell<Vec<Weak<ShardState>>> = const { RefCell::new(Vec::new()) };
}

/// A fiber of that slot's shard, on whose thread this is called, was given up.
pub(super) fn note_given_up(slot: &Arc<Slot>, fiber: &FiberInfo) {
    let states = HERE.with_borrow(|here| here.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
    if let Some(state) = states.iter().find(|state| Arc::ptr_eq(&state.counters.0, slot)) {
        state.lose(fiber);
    }
}

/// Waits as long as `goes_on`, but no longer than `time`.
fn park_until(time: Duration, goes_on: impl Fn() -> bool) {
    let deadline = sched::now().checked_add(time);
    while goes_on() {
        // A timeout beyond the clock's range is none.
        let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(sched::now()));
        if left.is_zero() {
            return;
        }
        sched::park_timeout(left);
    }
}

impl ShardState {
    fn new(shared: &Arc<Shared>, slot: &Arc<Slot>) -> Self {
        let config = &shared.config;
        Self {
            service: (shared.factory)(),
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

    /// Begins to accept from these; false if there is no stack for that, or no descriptor.
    fn take_up(self: &Rc<Self>, handed: &mut Handed, acceptors: &mut Vec<Acceptor>) -> bool {
        while let Some(listener) = handed.listeners.last() {
            let (state, loan) = (Rc::clone(self), handed.loan.clone());
            // There is one for each, in their order.
            let address = self.shared.local[handed.listeners.len() - 1].clone();
            let fiber = listener.try_clone().and_then(|listener| {
                let accept = move || accept_loop(listener, &address, loan.as_deref(), &state);
                sched::Builder::new().name("acceptor").spawn(accept)
            });
            match fiber {
                Ok(fiber) => {
                    acceptors.push(Acceptor { fiber, loan: handed.loan.clone() });
                    handed.listeners.pop();
                }
                Err(error) => {
                    self.counters.accept_errors.bump();
                    let pause = Some(TAKE_UP_AGAIN);
                    self.tell(&Event::AcceptFailed { error: &error, pause });
                    return false;
                }
            }
        }
        true
    }

    /// Lets go of what rests, and waits for what works.
    fn drain(&self, acceptors: Vec<Acceptor>) {
        // First, so that those who are taken from the queue are told that it is the end.
        self.draining.set(true);
        let (accepted, cut_before) = (self.counters.accepted.get(), self.counters.cut.get());
        let (mut resting, mut working) = (0, 0);
        for entry in self.connections.borrow().values() {
            match &entry.fiber {
                Some(fiber) if entry.link.rests_since.get() != 0 => {
                    let is_new = entry.link.first_request_until().is_some();
                    *(if is_new { &mut working } else { &mut resting }) += 1;
                    fiber.unpark();
                }
                // What it waits for is its own concern.
                _ => {
                    working += 1;
                    entry
                        .link
                        .protocol
                        .get()
                        .into_iter()
                        .for_each(|protocol| protocol.hear_drain());
                }
            }
        }
        self.counters.closed_at_rest.add(resting);
        // Who is in the backlog already is served; who comes later is told so by the closed port.
        for Acceptor { fiber, .. } in acceptors {
            fiber.fiber().unpark();
            let _ = fiber.join(); // its faults are counted and logged by itself
        }
        working += self.counters.accepted.get() - accepted;
        let (is_empty, shared) = (|| self.connections.borrow().is_empty(), &self.shared);
        park_until(shared.config.drain_timeout, || {
            !is_empty() && shared.phase() == Phase::Draining
        });
        let cut = self.connections.borrow().len();
        self.counters.cut.add(cut as u64);
        let cut_in_all = self.counters.cut.get() - cut_before;
        self.counters.drained.add(u64::saturating_sub(working, cut_in_all));
        self.tell(&Event::ShardDrained { shard: self.counters.0.index, cut });
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
        self.shared.config.tell(event);
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
    fn lose(&self, fiber: &FiberInfo) {
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

/// How long until listeners are taken up that could not be at once. Arbitrary.
const TAKE_UP_AGAIN: Duration = Duration::from_millis(100);

/// For how long a spare shard stays that has neither clients nor what they have left behind: the
/// next handler that computes for long may come at once. Arbitrary.
const SPARE_TIME: Duration = Duration::from_secs(10);
