//! The life of one shard, from the first accept to the last close.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::{
    self as sched, Fiber, FiberInfo, JoinHandle, Reporter, ShardJoinHandle, sim,
};

use super::accept::accept_loop;
use super::handler::ServiceFactory;
use super::idle_reaper::Sweeps;
use super::lending;
use super::serve_stream::{CancelOnDrop, serve_stream};
use super::state::ShardState;
use crate::config::Phase;
use crate::conn::Service;
use crate::control::{Handed, Loan, Shared, Slot};
use crate::systemd::Manager;
use crate::telemetry::Event;

/// What a shard begins with.
pub(super) struct NewShard {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: Arc<Slot>,
    pub(super) factory: Arc<ServiceFactory>,
    /// In a simulation, the simulated host that the shard runs on.
    pub(super) host: Option<IpAddr>,
    /// Handles the reports about the shard's fibers and its thread.
    pub(super) reporter: Reporter,
    pub(super) calls: Calls,
    /// Each begins the life of another server on the same thread.
    pub(super) guests: Vec<Box<StartGuest>>,
}

/// What a shard calls of those that started it.
pub(super) struct Calls {
    /// Called when the shard was stuck and its thread has returned.
    pub(super) on_recovery: Box<dyn Fn() + Send>,
    /// Hands the shard's listeners to another shard, as a handler has panicked; false if that is
    /// not possible now.
    pub(super) renew: Box<dyn Fn() -> bool + Send>,
    /// Whether the thread has other work than this server's.
    pub(super) is_shared: bool,
}

/// Begins a root fiber of another server.
pub(super) type StartGuest = dyn FnOnce() -> io::Result<JoinHandle<()>> + Send;

impl NewShard {
    /// Starts the shard. It accepts from the listeners that its slot is handed, until the server is
    /// drained or the shard is retired.
    pub(super) fn start(self) -> io::Result<ShardJoinHandle<io::Result<()>>> {
        let Self { shared, slot, factory, host, reporter, calls, guests } = self;
        let config = sched::Config::default()
            .with_stack_bytes(shared.config.stack_bytes)
            .with_stack_usage(shared.config.stack_usage)
            .with_driver(shared.config.driver)
            .with_busy_limit(shared.config.busy_limit)
            .with_stuck_limit(shared.config.stuck_limit)
            .with_reporter(reporter);
        let name = format!("straightline-{}", slot.index);
        let root = move || {
            if let Some(logger) = &shared.config.logger {
                sched::set_thread_logger(logger.clone());
            }
            if guests.is_empty() {
                let result = serve(&shared, &slot, factory, &calls).map(drop);
                slot.record_ended();
                return result;
                // When the root fiber ends, the scheduler cancels all fibers that are left.
            }
            let guests = guests.into_iter().map(|start| start());
            let guests = guests.collect::<io::Result<Vec<_>>>()?;
            let result = serve_beside(&shared, &slot, factory, &calls);
            slot.record_ended();
            let mut are_well = true;
            for guest in guests {
                are_well &= guest.join().is_ok();
            }
            let panicked = || io::Error::other("a server that shares the thread has panicked");
            result.and(are_well.then_some(()).ok_or_else(panicked))
        };
        sched::spawn_shard(&name, config, move || match host {
            Some(host) => sim::on_host(host, root),
            None => root(),
        })
    }
}

fn serve(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    factory: Arc<ServiceFactory>,
    calls: &Calls,
) -> io::Result<Rc<ShardState>> {
    let state = new_state(shared, slot, factory(), sched::current());
    drop(factory); // a shard may outlive the server's run
    live(&state, calls)?;
    Ok(state)
}

/// As [`serve`], on a thread that goes on afterwards.
pub(super) fn serve_beside(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    factory: Arc<ServiceFactory>,
    calls: &Calls,
) -> io::Result<()> {
    let state = serve(shared, slot, factory, calls)?;
    force_close(&state);
    Ok(())
}

/// Cancels what the drain has left of a shard, and waits for its end. The calling fiber is the
/// shard's root.
pub(super) fn force_close(state: &ShardState) {
    state.connections.for_each(|entry| entry.fiber().cancel());
    state.background.cancel_all();
    state.host.begin_drain(); // the last connection wakes this fiber
    state.background.wake_when_empty(sched::current());
    park_until(FORCE_CLOSE_TIME, || !state.connections.is_empty() || !state.background.is_empty());
}

/// How long connections may take to unwind: a section that must not be cancelled has ten seconds.
const FORCE_CLOSE_TIME: Duration = Duration::from_secs(12);

/// A shard's state, on its own thread; `root` is the fiber that calls [`live`].
pub(super) fn new_state(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    service: Rc<Service>,
    root: Fiber,
) -> Rc<ShardState> {
    let state = ShardState::new(shared, slot, service, root, serve_stream);
    HERE.with_borrow_mut(|here| {
        here.retain(|state| state.strong_count() > 0);
        here.push(Rc::downgrade(&state));
    });
    state
}

/// The life of a shard, on its root fiber: accepts until the server drains, and then drains.
pub(super) fn live(state: &Rc<ShardState>, calls: &Calls) -> io::Result<()> {
    state.slot.record_running();
    state.shared.record_running();
    let sweeps = Sweeps::of(state.host.timeouts.head, state.host.timeouts.idle);
    let swept = Rc::clone(state);
    let reaper = sched::FiberBuilder::new().name("idle reaper");
    let _reaper = CancelOnDrop(reaper.spawn(move || sweep(&swept, sweeps))?.fiber());
    let _heart = start_heart(&state.shared)?;
    if let Some(acceptors) = accept_until_drain(state, &state.slot, calls) {
        let here = Rc::clone(state);
        // If that fiber cannot be started, the drain waits for idle upgraded connections as for all
        // others.
        let watching = sched::FiberBuilder::new().name("drain");
        let watching = watching.spawn(move || end_idle_protocols(&here));
        let _watching = watching.map(|watching| CancelOnDrop(watching.fiber()));
        drain(state, acceptors);
        if state.slot.is_leaving() {
            state.shared.shards.retire(&state.slot); // the server goes on without it
        }
    }
    Ok(())
}

/// A fiber that accepts, and the loan that permits it.
struct Acceptor {
    fiber: JoinHandle<()>,
    loan: Option<Arc<Loan>>,
}

/// Accepts from the listeners that the shard is handed until the server drains, or the shard is to
/// drain because a handler panicked; `None` if the shard is retired.
fn accept_until_drain(state: &Rc<ShardState>, slot: &Slot, calls: &Calls) -> Option<Vec<Acceptor>> {
    let shared = &state.shared;
    let (mut acceptors, mut waiting) = (Vec::new(), Vec::new());
    let (mut unready_since, mut idle_since) = (None, None);
    // The shard's own fibers, and the fibers that the handler started when it was made.
    let fibers = sched::stats().fibers;
    while !slot.is_retired() {
        if slot.take_stuck() {
            (calls.on_recovery)();
        }
        if !shared.is_starting() {
            waiting.extend(slot.take_handed());
        }
        waiting.retain_mut(|handed| !take_up(state, handed, &mut acceptors));
        acceptors.retain(Acceptor::goes_on);
        if slot.is_leaving() {
            // Another server on this thread is renewed.
            state.host.set_shutting_down(true);
            return Some(acceptors);
        }
        let mut pause = if waiting.is_empty() { Duration::MAX } else { TAKE_UP_RETRY };
        state.host.set_shutting_down(shared.phase() > Phase::Serving);
        match shared.phase() {
            Phase::Serving if slot.wants_renewal() => match shared.renewals.permit(sched::now()) {
                Ok(()) if (calls.renew)() => {
                    state.host.set_shutting_down(true);
                    return Some(acceptors);
                }
                Ok(()) => continue,
                Err(left) => pause = pause.min(left),
            },
            Phase::Serving => {}
            Phase::Unready => {
                let since = *unready_since.get_or_insert_with(sched::turn_start);
                let past = sched::turn_start().saturating_duration_since(since);
                let left = shared.config.ready_delay.saturating_sub(past);
                if left.is_zero() {
                    shared.advance(Phase::Draining);
                    continue;
                }
                pause = pause.min(left);
            }
            Phase::Draining | Phase::ForceClosing => return Some(acceptors),
        }
        if acceptors.is_empty() && slot.is_spare() {
            let now = sched::turn_start();
            let since = *idle_since.get_or_insert(now);
            // On a thread with other work, fibers that handlers have spawned go on for as long as
            // that work.
            let is_busy = if calls.is_shared {
                !state.connections.is_empty() || !state.background.is_empty()
            } else {
                sched::stats().fibers > fibers
            };
            if is_busy {
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
    /// Whether the acceptor goes on. If its loan is over, wakes the acceptor, which then ends.
    fn goes_on(&self) -> bool {
        let goes_on = self.loan.as_ref().is_none_or(|loan| !loan.is_over());
        if !goes_on {
            self.fiber.fiber().unpark();
        }
        goes_on
    }
}

/// Closes connections that are idle for too long, as long as the shard lives.
fn sweep(state: &ShardState, sweeps: Sweeps) {
    loop {
        state.connections.wait_for_any();
        sched::sleep(sweeps.interval);
        state.connections.expire(state.host.begin_sweep(), sweeps);
    }
}

/// Tells the service manager that this shard is alive, as often as the manager wants to hear it.
fn start_heart(shared: &Arc<Shared>) -> io::Result<Option<CancelOnDrop>> {
    let manager = shared.config.manager.as_ref();
    let Some(interval) = manager.and_then(|manager| manager.beat_interval()) else {
        return Ok(None);
    };
    let shared = Arc::clone(shared);
    let heart = sched::FiberBuilder::new().name("watchdog").spawn(move || {
        loop {
            shared.tell_manager(Manager::beat);
            sched::sleep(interval);
        }
    })?;
    Ok(Some(CancelOnDrop(heart.fiber())))
}

/// Cancels upgraded connections on which nothing is sent or received during the drain.
fn end_idle_protocols(state: &ShardState) {
    let begin = sched::turn_start();
    loop {
        sched::sleep(PROTOCOL_IDLE / 5);
        let Some(since) = sched::turn_start().checked_sub(PROTOCOL_IDLE) else { continue };
        if since < begin {
            continue;
        }
        state.connections.for_each(|entry| {
            if let Some(link) = entry.connection().link()
                && let Some(protocol) = link.protocol()
                && protocol.is_idle_since(since)
            {
                protocol.force_close();
                state.slot.counters.force_closed.bump();
                link.end_handler();
            }
        });
    }
}

/// How long a drain waits for an upgraded connection that is silent and has not asked to be
/// interrupted by a drain. Arbitrary: a slow round trip or two, as an answer may be under way.
const PROTOCOL_IDLE: Duration = Duration::from_secs(5);

thread_local! {
    /// The shards of this thread: one, or all shards of a simulation.
    static HERE: RefCell<Vec<Weak<ShardState>>> = const { RefCell::new(Vec::new()) };
}

/// A fiber of the shard of that slot was abandoned. Called on the shard's thread.
pub(super) fn record_abandoned(slot: &Arc<Slot>, fiber: &FiberInfo) {
    let states = HERE.with_borrow(|here| here.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
    if let Some(state) = states.iter().find(|state| state.is_of(slot)) {
        state.lose(fiber.id);
    }
}

/// Waits while `goes_on` says so, but no longer than `time`.
fn park_until(time: Duration, goes_on: impl Fn() -> bool) {
    let deadline = sched::turn_start().checked_add(time);
    while goes_on() {
        // A deadline beyond the clock's range counts as none.
        let left =
            deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(sched::turn_start()));
        if left.is_zero() {
            return;
        }
        sched::park_timeout(left);
    }
}

/// Begins to accept from these listeners; false if no stack or no descriptor is left for that.
fn take_up(state: &Rc<ShardState>, handed: &mut Handed, acceptors: &mut Vec<Acceptor>) -> bool {
    while let Some(listener) = handed.listeners.last() {
        let (here, loan) = (Rc::clone(state), handed.loan.clone());
        // Each shard has one listener for each address, in the same order.
        let address = state.shared.local[handed.listeners.len() - 1].clone();
        let fiber = listener.try_clone().and_then(|listener| {
            let accept = move || accept_loop(listener, &address, loan.as_deref(), &here);
            sched::FiberBuilder::new().name("acceptor").spawn(accept)
        });
        match fiber {
            Ok(fiber) => {
                acceptors.push(Acceptor { fiber, loan: handed.loan.clone() });
                handed.listeners.pop();
            }
            Err(error) => {
                state.slot.counters.accept_errors.bump();
                let pause = Some(TAKE_UP_RETRY);
                state.host.emit(&Event::AcceptFailed { error: &error, pause });
                return false;
            }
        }
    }
    true
}

/// Closes the idle connections, and waits for the active ones.
fn drain(state: &ShardState, acceptors: Vec<Acceptor>) {
    // First, so that clients that are accepted from the queue now get `Connection: close`.
    state.host.begin_drain();
    let counters = &state.slot.counters;
    let (accepted, force_closed_before) = (counters.accepted.get(), counters.force_closed.get());
    let (spawned, running) = (counters.background_spawned.get(), state.background.len() as u64);
    state.background.wake_when_empty(sched::current());
    let (mut idle, mut active) = (0, 0);
    state.connections.for_each(|entry| {
        let connection = entry.connection();
        if connection.idle_since().is_some() {
            let is_new = connection.first_request_until().is_some();
            *(if is_new { &mut active } else { &mut idle }) += 1;
            entry.fiber().unpark();
        } else {
            // An active connection has its own waits, so it is not woken.
            active += 1;
            // One that has not had a turn yet has no link.
            let Some(link) = connection.link() else { return };
            if link.is_resting() {
                entry.fiber().unpark();
            }
            link.protocol().into_iter().for_each(|protocol| protocol.interrupt_reads());
        }
    });
    let is_shutdown = !state.slot.is_leaving();
    if is_shutdown {
        counters.closed_idle.add(idle);
    }
    // Clients in the queue are still served; later clients find the port closed.
    for Acceptor { fiber, .. } in acceptors {
        fiber.fiber().unpark();
        let _ = fiber.join(); // the acceptor counts and logs its own faults
    }
    active += counters.accepted.get() - accepted;
    let (connections, background, shared) = (&state.connections, &state.background, &state.shared);
    park_until(shared.config.drain_timeout, || {
        let is_busy = !connections.is_empty() || !background.is_empty();
        is_busy && shared.phase() < Phase::ForceClosing
    });
    let force_closed = connections.len();
    counters.force_closed.add(force_closed as u64);
    let force_closed_in_all = counters.force_closed.get() - force_closed_before;
    if is_shutdown {
        counters.drained.add(u64::saturating_sub(active, force_closed_in_all));
        let spawned = counters.background_spawned.get() - spawned;
        let (left, all) = (background.len() as u64, running + spawned);
        counters.background_cancelled.add(left);
        counters.background_drained.add(all.saturating_sub(left));
    } else {
        shared.renewals.record_force_closed(force_closed_in_all);
    }
    state.host.emit(&Event::ShardDrained { shard: state.slot.index, force_closed });
}

/// How long the shard waits before it tries again to accept from listeners. Arbitrary.
const TAKE_UP_RETRY: Duration = Duration::from_millis(100);

/// How long a spare shard stays without connections and without fibers of connections: the next
/// handler that computes for long may run soon. Arbitrary.
const SPARE_TIME: Duration = Duration::from_secs(10);
