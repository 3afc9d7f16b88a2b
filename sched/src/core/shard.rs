//! The record of one thread's scheduler.
//!
//! Everything below this file knows no shard, and everything above it is a verb: a function with a
//! shard as its argument. The methods here touch only the fields.
//!
//! The table of fibers owns all of them, and is empty before the shard is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slotmap::SlotMap;

use super::abandoned_fibers::AbandonedFibers;
use super::circles::Circles;
use super::clock::Clock;
use super::config::Config;
use super::counters::Counters;
use super::fairness::Fairness;
use super::fiber_info::label;
use super::fibers::Fibers;
use super::inbox::Inbox;
use super::mailbox::Mailbox;
use super::mailboxes;
use super::report::{Report, Reporter};
use super::run_queue::RunQueue;
use super::shard_values::ShardValues;
use super::source_state::{SourceKey, SourceState};
use super::stacks::Stacks;
use super::timers::FiberTimers;
use super::tripwire::Tripwire;
use crate::driver::Driver;
use crate::fiber::{FiberCell, FiberKey, Frames, Tick, running, with_running};
use crate::watchdog::Pulse;

pub(crate) struct Shard {
    /// Unique among the shards of a process, also of those that follow each other on one thread.
    pub(crate) id: u64,
    pub(crate) driver: Driver,
    pub(super) clock: Clock,
    /// Every fiber that is not over.
    pub(crate) fibers: Fibers,
    pub(crate) queue: RunQueue,
    pub(super) fairness: Fairness,
    pub(crate) timers: FiberTimers,
    /// Numbers for the calls of `deadline` and of a lease's `hold`.
    pub(super) frames: Frames,
    /// Changed by `source` and `sources` only. Never borrowed while code of the user runs.
    pub(super) sources: RefCell<SlotMap<SourceKey, SourceState>>,
    pub(super) stacks: Stacks,
    pub(crate) inbox: Inbox,
    pub(super) counters: Arc<Counters>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) reporter: Reporter,
    /// Its values of shard-locals.
    pub(crate) values: ShardValues,
    /// Checks where fibers wait, if the tripwire is set.
    pub(super) tripwire: Option<Box<Tripwire>>,
    pub(super) circles: Circles,
    pub(super) abandoned: AbandonedFibers,
    /// A hook of `on_switch` runs, between two fibers.
    pub(super) in_switch_hook: Cell<bool>,
}

impl Shard {
    pub(crate) fn new(config: &Config, driver: Driver) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let mailbox = Arc::new(Mailbox::new(driver.waker(), config.max_sent_fibers));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        mailboxes::enter(id, &driver, &mailbox);
        let counters = Arc::default();
        Self {
            id,
            clock: Clock::new(&driver),
            driver,
            fibers: Fibers::default(),
            queue: RunQueue::default(),
            fairness: Fairness::default(),
            timers: FiberTimers::default(),
            frames: Frames::default(),
            sources: RefCell::default(),
            stacks: Stacks::new(config, &counters),
            inbox: Inbox::new(mailbox),
            counters,
            pulse: Arc::default(),
            reporter: config.reporter.clone(),
            values: ShardValues::default(),
            tripwire: config.tripwire.then(Box::default),
            circles: Circles::default(),
            abandoned: AbandonedFibers::default(),
            in_switch_hook: Cell::new(false),
        }
    }

    /// The fiber that runs now.
    ///
    /// # Panics
    ///
    /// Called between two fibers, where only the scheduler's own code runs.
    #[inline]
    pub(crate) fn current(&self) -> Rc<FiberCell> {
        match self.try_current() {
            Some(fiber) => fiber,
            None => self.no_fiber(),
        }
    }

    /// Calls `act` with the fiber that runs now, which may wait in it. This takes no reference of
    /// its own: an unwind would stop at this frame to drop it, which costs as much as four frames.
    ///
    /// # Panics
    ///
    /// As [`current`](Self::current).
    #[inline]
    pub(crate) fn with_current<R>(&self, act: impl FnOnce(&FiberCell) -> R) -> R {
        match with_running(act) {
            Some(result) => result,
            None => self.no_fiber(),
        }
    }

    #[cold]
    fn no_fiber(&self) -> ! {
        assert!(
            !self.in_switch_hook.get(),
            "straightline: a switch hook can neither wait nor spawn: it runs between two fibers"
        );
        panic!("straightline: a blocking call outside of a fiber");
    }

    #[allow(clippy::unused_self)] // only a thread with a shard has a running fiber
    pub(crate) fn try_current(&self) -> Option<Rc<FiberCell>> {
        running()
    }

    /// Puts a fiber into the run queue, once.
    #[inline]
    pub(crate) fn wake(&self, fiber: Rc<FiberCell>) {
        self.queue.push(fiber);
    }

    /// Wakes a fiber, if it still exists.
    pub(crate) fn wake_key(&self, key: FiberKey) {
        if let Some(fiber) = self.fibers.get(key) {
            self.wake(fiber);
        }
    }

    /// Unparks a fiber, if it still exists.
    pub(crate) fn unpark_key(&self, key: FiberKey) {
        if let Some(fiber) = self.fibers.get(key) {
            fiber.unparked.set(true);
            self.wake(fiber);
        }
    }

    /// The time of the turn.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        self.clock.instant_of(self.clock.turn())
    }

    /// The exact time, later than the turn's.
    #[inline]
    pub(super) fn clock(&self) -> Tick {
        Tick::from_nanos(self.driver.elapsed_nanos())
    }

    #[inline]
    pub(super) fn tick_of(&self, at: Instant) -> Tick {
        self.clock.tick_of(at)
    }

    #[inline]
    pub(super) fn instant_of(&self, tick: Tick) -> Instant {
        self.clock.instant_of(tick)
    }

    /// The time in `timeout` from now. The clock is read anew: the turn's reading may be older than
    /// the fiber's last work.
    #[inline]
    pub(crate) fn after(&self, timeout: Duration) -> Tick {
        self.clock().saturating_add(timeout)
    }

    pub(crate) fn report(&self, report: &Report) {
        self.reporter.report(report);
    }

    /// Adds a line to the simulation's trace, if this is a simulation.
    #[inline]
    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if let Some(simulation) = self.driver.simulation() {
            simulation.world.note(text);
        }
    }

    pub(super) fn record_spawn(&self, fiber: &FiberCell) {
        self.note(|| format!("spawns {}, at {}", label(fiber), fiber.spawn_info.spawned_at));
    }
}
