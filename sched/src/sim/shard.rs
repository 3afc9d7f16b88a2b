//! The records of a simulation's shards: each is a scheduler's shard and what the simulation adds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::core::{
    Config, FiberBuilder, JoinError, JoinHandle, Shard, begin_end, end_if_over, enter, list_fibers,
    spawn_on,
};
use crate::driver::{Driver, SimulatedDriver, World};
use crate::fiber::{FiberCell, Tick};

/// One of a simulation's shards.
pub(super) struct SimShard {
    pub(super) shard: Shard,
    /// In the order in which they were made; the first is 0.
    pub(super) number: usize,
    /// The fibers that run before the shard polls its driver again.
    pub(super) round: RefCell<VecDeque<Rc<FiberCell>>>,
    pub(super) root: Box<dyn Root>,
    /// When its fibers, which are being ended, are abandoned.
    abandon_at: Cell<Option<Tick>>,
    pub(super) over: Cell<bool>,
    /// Until when a fiber keeps the thread; see `keep_thread`.
    pub(super) kept_until: Cell<u64>,
    /// How often a fiber has kept it for longer than the limit.
    pub(super) kept: Cell<u64>,
    pub(super) busy_limit: Option<Duration>,
    /// The shard was reported as busy, and not as free again.
    pub(super) is_reported_busy: Cell<bool>,
}

/// A simulation's shards that are not over.
#[derive(Default)]
pub(super) struct Shards {
    pub(super) list: RefCell<Vec<Rc<SimShard>>>,
    made: Cell<usize>,
    /// The value of [`Sim::tripwire`](super::Sim::tripwire), for all of them.
    pub(super) tripwire: Cell<Option<bool>>,
}

/// A shard's first fiber, with any result type.
pub(super) trait Root {
    fn is_finished(&self) -> bool;
    /// Hands over its result. Called once, when the shard is over.
    fn settle(&self);
}

struct RootFiber<T, F> {
    handle: RefCell<Option<JoinHandle<T>>>,
    settle: Cell<Option<F>>,
}

/// Adds a shard to the simulation, with `root` as its first fiber. When all the shard's fibers have
/// ended, `settle` gets the result.
pub(crate) fn add_shard<T: 'static>(
    world: &Rc<World>,
    config: &Config,
    spawned_at: &'static Location<'static>,
    root: impl FnOnce() -> T + 'static,
    settle: impl FnOnce(Result<T, JoinError>) + 'static,
) -> io::Result<()> {
    let shards = world.local(Shards::default);
    let number = shards.made.replace(shards.made.get() + 1);
    if number > 0 {
        world.note(|| format!("starts shard {number}"));
    }
    let tripwire = shards.tripwire.get().unwrap_or(config.tripwire);
    let config = config.clone().with_tripwire(tripwire);
    let shard = Shard::new(&config, Driver::simulated(world));
    let handle = spawn_on(&shard, FiberBuilder::new().name("root"), spawned_at, None, root)?;
    let root = RootFiber { handle: RefCell::new(Some(handle)), settle: Cell::new(Some(settle)) };
    shards.list.borrow_mut().push(Rc::new(SimShard {
        shard,
        number,
        round: RefCell::default(),
        root: Box::new(root),
        abandon_at: Cell::new(None),
        over: Cell::new(false),
        kept_until: Cell::new(0),
        kept: Cell::new(0),
        busy_limit: config.busy_limit,
        is_reported_busy: Cell::new(false),
    }));
    Ok(())
}

impl SimShard {
    /// Whether it has work now.
    pub(super) fn can_run(&self, now: u64) -> bool {
        let shard = &self.shard;
        if now < self.kept_until.get() {
            return false;
        }
        !self.round.borrow().is_empty()
            || !shard.queue.is_empty()
            || shard.inbox.is_pending()
            || shard.driver.simulation().is_some_and(SimulatedDriver::has_news)
            || self.next_at(now).is_some_and(|at| at <= now)
    }

    /// When it has work next, if no other shard acts.
    pub(super) fn next_at(&self, now: u64) -> Option<u64> {
        if now < self.kept_until.get() {
            return Some(self.kept_until.get());
        }
        let timer = self.shard.timers.next_at().ever();
        timer.into_iter().chain(self.abandon_at.get()).min().map(Tick::nanos)
    }

    /// A shard ends when its root has, except for the first one, whose other fibers have time.
    pub(super) fn end_with_root(&self) {
        if self.number > 0 && self.root.is_finished() {
            self.begin_end();
        }
        let Some(abandon_at) = self.abandon_at.get() else { return };
        let entered = enter(&self.shard);
        let is_over = !self.over.get() && end_if_over(&self.shard, abandon_at);
        drop(entered);
        if is_over {
            self.over.set(true);
            self.root.settle();
        }
    }

    pub(super) fn begin_end(&self) {
        if self.abandon_at.get().is_none() {
            let _entered = enter(&self.shard);
            self.abandon_at.set(Some(begin_end(&self.shard)));
        }
    }

    pub(super) fn describe_all(list: &[Rc<Self>]) -> Vec<String> {
        let fibers = list.iter().flat_map(|shard| {
            let fibers = list_fibers(&shard.shard).into_iter();
            fibers.map(move |fiber| match shard.number {
                0 => fiber.to_string(),
                number => format!("shard {number}: {fiber}"),
            })
        });
        fibers.collect()
    }
}

impl<T, F: FnOnce(Result<T, JoinError>)> Root for RootFiber<T, F> {
    fn is_finished(&self) -> bool {
        self.handle.borrow().as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn settle(&self) {
        let handle = self.handle.take();
        if let (Some(handle), Some(settle)) = (handle, self.settle.take()) {
            settle(handle.join());
        }
    }
}
