//! One thread's scheduler, as a record.
//!
//! Everything below this file knows no shard, and everything above it is a verb: a function that is
//! given one. What stands here beside the fields touches nothing but them.
//!
//! The table of fibers is the one owner of them all, and it is empty before the shard is dropped.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slotmap::SlotMap;

use super::circles::Circles;
use super::config::Config;
use super::counters::Counters;
use super::fiber_info::label;
use super::mailbox::{Mailbox, Sent};
use super::mailboxes;
use super::report::{Report, Reporter};
use super::run_queue::BUDGET;
use super::shard_values::ShardValues;
use super::source_state::{SourceKey, SourceState};
use super::timers::Alarms;
use super::tripwire::Tripwire;
use crate::driver::Driver;
use crate::fiber::census::Census;
use crate::fiber::stack::StackPool;
use crate::fiber::{FiberCell, FiberKey, Frame, Tick, running};
use crate::watch::Pulse;

pub(crate) struct Shard {
    /// Tells the shards of a process apart, one after the other on the same thread included.
    pub(crate) id: u64,
    pub(crate) driver: Driver,
    /// The turn's reading of the clock.
    pub(crate) tick: Cell<Tick>,
    /// Every fiber that is not over: the owner.
    pub(crate) fibers: RefCell<SlotMap<FiberKey, Rc<FiberCell>>>,
    /// Each fiber stands here at most once, see [`FiberCell::queued`].
    pub(crate) ready: RefCell<VecDeque<Rc<FiberCell>>>,
    /// What the running fiber may still do without waiting before it yields.
    pub(crate) budget: Cell<u32>,
    pub(crate) timers: RefCell<Alarms>,
    /// How many `deadline` calls were made; names them.
    pub(crate) frames: Cell<u32>,
    pub(crate) sources: RefCell<SlotMap<SourceKey, SourceState>>,
    pub(crate) stacks: RefCell<StackPool>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) reporter: Reporter,
    /// No fiber begins any more.
    pub(crate) ending: Cell<bool>,
    /// There are frames that stay for ever, and so does the thread.
    pub(super) has_remains: Cell<bool>,
    /// What other threads sent and found no stack yet; oldest first.
    pub(super) deferred: RefCell<VecDeque<Sent>>,
    /// What ended fibers used of their stacks, if that is asked for.
    pub(super) census: RefCell<Census>,
    /// Its values of shard-locals.
    pub(crate) values: ShardValues,
    /// Looks where fibers wait, if that is asked for.
    pub(super) tripwire: Option<Box<Tripwire>>,
    /// When the stacks may be trimmed again.
    pub(super) trim_at: Cell<Tick>,
    /// There is something to trim.
    pub(super) trimming: Cell<bool>,
    /// What is known of fibers that wait for each other.
    pub(super) circles: RefCell<Circles>,
    /// What the fibers were called that were given up: they may hold locks for ever.
    pub(super) given_up: RefCell<BTreeMap<FiberKey, String>>,
    /// The pulse when a deadlock of all was reported.
    pub(super) told_stuck_at: Cell<Option<u64>>,
    /// The pulse at the last trim.
    pub(super) trimmed_at: Cell<u64>,
    /// The pulse when the driver and the mailbox were last asked.
    pub(super) looked_at: Cell<u64>,
    /// No fiber has run since the last look outside.
    pub(super) idle_turn: Cell<bool>,
    /// A fiber or a message waits for a stack: look again soon, whatever the timers say.
    pub(super) starved: Cell<bool>,
}

impl Shard {
    pub(crate) fn new(config: &Config, driver: Driver) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let mailbox = Arc::new(Mailbox::new(driver.waker(), config.sent_fibers_max));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        mailboxes::enter(id, &driver, &mailbox);
        Self {
            id,
            tick: Cell::new(Tick::from_nanos(driver.elapsed_nanos())),
            driver,
            fibers: RefCell::default(),
            ready: RefCell::default(),
            budget: Cell::new(BUDGET),
            timers: RefCell::default(),
            frames: Cell::new(0),
            sources: RefCell::default(),
            stacks: RefCell::new(StackPool::new(config.stack_bytes, config.stack_census)),
            mailbox,
            counters: Arc::default(),
            pulse: Arc::default(),
            reporter: config.reporter.clone(),
            ending: Cell::new(false),
            has_remains: Cell::new(false),
            deferred: RefCell::default(),
            census: RefCell::default(),
            values: ShardValues::default(),
            tripwire: config.tripwire.then(Box::default),
            trim_at: Cell::new(Tick::from_nanos(0)),
            trimming: Cell::new(false),
            trimmed_at: Cell::new(0),
            circles: RefCell::default(),
            given_up: RefCell::default(),
            told_stuck_at: Cell::new(None),
            looked_at: Cell::new(0),
            idle_turn: Cell::new(true),
            starved: Cell::new(false),
        }
    }

    /// The fiber that runs now.
    ///
    /// # Panics
    ///
    /// Between two fibers, where only the scheduler's own code runs.
    pub(crate) fn current(&self) -> Rc<FiberCell> {
        match self.try_current() {
            Some(fiber) => fiber,
            None => panic!("straightline: a blocking call outside of a fiber"),
        }
    }

    #[allow(clippy::unused_self)] // only a thread with a shard has a running fiber
    pub(crate) fn try_current(&self) -> Option<Rc<FiberCell>> {
        running()
    }

    /// Puts a fiber into the run queue, once.
    pub(crate) fn wake(&self, fiber: Rc<FiberCell>) {
        if !fiber.queued.replace(true) {
            self.ready.borrow_mut().push_back(fiber);
        }
    }

    /// Wakes a fiber, if it is still there.
    pub(crate) fn wake_key(&self, key: FiberKey) {
        let fiber = self.fibers.borrow().get(key).cloned();
        if let Some(fiber) = fiber {
            self.wake(fiber);
        }
    }

    /// Unparks a fiber, if it is still there.
    pub(crate) fn unpark_key(&self, key: FiberKey) {
        let fiber = self.fibers.borrow().get(key).cloned();
        if let Some(fiber) = fiber {
            fiber.unparked.set(true);
            self.wake(fiber);
        }
    }

    /// The time of the turn.
    pub(super) fn now(&self) -> Instant {
        self.instant_of(self.tick.get())
    }

    /// The time now, which is later than the turn's.
    pub(super) fn clock(&self) -> Tick {
        Tick::from_nanos(self.driver.elapsed_nanos())
    }

    pub(super) fn tick_of(&self, at: Instant) -> Tick {
        Tick::of(at, self.driver.started_at())
    }

    pub(super) fn instant_of(&self, tick: Tick) -> Instant {
        tick.instant(self.driver.started_at())
    }

    /// The time in `timeout` from now. The clock is read anew: the turn's reading may be older
    /// than the fiber's last work.
    pub(crate) fn after(&self, timeout: Duration) -> Tick {
        self.clock().saturating_add(timeout)
    }

    pub(super) fn next_frame(&self) -> Frame {
        // After four billion calls the numbers come again, but for the one that means none.
        let frame = self.frames.get().checked_add(1).unwrap_or(1);
        self.frames.set(frame);
        Frame(frame)
    }

    pub(crate) fn report(&self, report: &Report) {
        self.reporter.report(report);
    }

    /// Whether other threads, or shards of a simulation, have asked for something.
    pub(crate) fn has_mail(&self) -> bool {
        self.mailbox.is_pending() || !self.deferred.borrow().is_empty()
    }

    /// A line of the simulation's trace, if this is one.
    #[inline]
    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if let Some(simulation) = self.driver.simulation() {
            simulation.world.note(text);
        }
    }

    pub(super) fn note_spawn(&self, fiber: &FiberCell) {
        self.note(|| format!("spawns {}, at {}", label(fiber), fiber.birth.spawned_at));
    }
}
