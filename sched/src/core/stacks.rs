//! A shard's stacks: the pool, its measurements, and when its memory is given back.
//!
//! Idle workers keep their stacks, so that the next activation finds one. They end, and give their
//! stacks to the pool, before a stack is refused, and at each trim. In a pool that measures, no
//! worker is kept: each activation is measured.
//!
//! Refusals are counted here. The pool is trimmed only after a request
//! ([`ask_for_trim`](Stacks::ask_for_trim)), and until there is nothing left to trim or the shard
//! works. So a turn only checks one flag.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::counters::Counters;
use crate::fiber::pool::StackPool;
use crate::fiber::stack::FiberStack;
use crate::fiber::stack_usage::{StackUsage, StackUsages};
use crate::fiber::{Tick, Worker};

pub(crate) struct Stacks {
    pool: RefCell<StackPool>,
    /// Workers without an activation. The last is the next to be used.
    #[allow(clippy::vec_box)] // whole boxes move to fibers and back
    workers: RefCell<Vec<Box<Worker>>>,
    /// How many of them are kept.
    workers_max: usize,
    /// How much of their stacks ended fibers used, if that is measured.
    usage: RefCell<StackUsages>,
    counters: Arc<Counters>,
    /// A fiber or a message waits for a stack: the shard looks again soon, whatever its timers are.
    is_wanted: Cell<bool>,
    /// There is something to trim.
    is_trimming: Cell<bool>,
    /// When the next trim may be.
    trim_at: Cell<Tick>,
    /// The pulse at the last trim.
    trimmed_at: Cell<u64>,
}

impl Stacks {
    pub(super) fn new(config: &Config, counters: &Arc<Counters>) -> Self {
        Self {
            pool: RefCell::new(StackPool::new(config.stack_bytes, config.stack_usage)),
            workers: RefCell::default(),
            workers_max: if config.stack_usage { 0 } else { IDLE_WORKERS_MAX },
            usage: RefCell::default(),
            counters: Arc::clone(counters),
            is_wanted: Cell::new(false),
            is_trimming: Cell::new(false),
            trim_at: Cell::new(Tick::from_nanos(0)),
            trimmed_at: Cell::new(0),
        }
    }

    /// A stack of that size, or of the shard's own size if `None`.
    #[inline]
    pub(super) fn take(&self, stack_bytes: Option<usize>) -> io::Result<FiberStack> {
        self.or_without_workers(|pool| match stack_bytes {
            None => pool.take_default(),
            Some(stack_bytes) => pool.take(stack_bytes),
        })
    }

    /// Makes sure that the next stack of the shard's own size is not refused.
    pub(super) fn reserve(&self) -> io::Result<()> {
        self.or_without_workers(|pool| {
            let stack_bytes = pool.default_bytes();
            pool.reserve(stack_bytes)
        })
    }

    /// Calls `take`; if that is refused, once more without idle workers.
    #[inline]
    fn or_without_workers<T>(
        &self,
        take: impl Fn(&mut StackPool) -> io::Result<T>,
    ) -> io::Result<T> {
        let taken = take(&mut self.pool.borrow_mut());
        if taken.is_ok() || !self.end_workers() {
            return taken.inspect_err(|_| self.counters.stacks_refused.add(1));
        }
        let taken = take(&mut self.pool.borrow_mut());
        taken.inspect_err(|_| self.counters.stacks_refused.add(1))
    }

    /// An idle worker, or a new one, which `make` makes.
    #[inline]
    pub(super) fn take_worker(
        &self,
        make: impl FnOnce(FiberStack) -> Worker,
    ) -> io::Result<Box<Worker>> {
        let idle = self.workers.borrow_mut().pop();
        match idle {
            Some(worker) => Ok(worker),
            None => self.take(None).map(|stack| Box::new(make(stack))),
        }
    }

    /// Takes a worker whose activation is over.
    #[inline]
    pub(super) fn give_worker(&self, worker: Box<Worker>, spawned_at: &'static Location<'static>) {
        let mut workers = self.workers.borrow_mut();
        if workers.len() < self.workers_max {
            workers.push(worker);
            return;
        }
        drop(workers);
        self.give(worker.end(), spawned_at);
    }

    /// Ends all idle workers; false if there were none.
    #[cold]
    pub(super) fn end_workers(&self) -> bool {
        let workers = self.workers.take();
        let were_some = !workers.is_empty();
        for worker in workers {
            let stack = worker.end();
            // A pool that measures has no idle workers.
            self.pool.borrow_mut().give(stack);
        }
        were_some
    }

    /// Takes the stack of a fiber, or of an activation, that has ended.
    #[inline]
    pub(super) fn give(&self, stack: FiberStack, spawned_at: &'static Location<'static>) {
        let stack_bytes = stack.bytes();
        if let Some(used_bytes) = self.pool.borrow_mut().give(stack) {
            self.usage.borrow_mut().record(spawned_at, stack_bytes, used_bytes);
        }
    }

    /// Records that a stack was refused, and that the shard is to try again soon.
    pub(super) fn record_wanted(&self) {
        self.is_wanted.set(true);
    }

    #[inline]
    pub(super) fn take_wanted(&self) -> bool {
        self.is_wanted.take()
    }

    /// The measurements, the greatest use first.
    pub(super) fn uses(&self) -> Vec<StackUsage> {
        self.usage.borrow().sorted()
    }

    /// Updates the gauges.
    pub(super) fn publish(&self) {
        let gauges = self.pool.borrow().gauges();
        let idle = self.workers.borrow().len();
        self.counters.stacks.set((gauges.in_use - idle) as u64);
        self.counters.stacks_hot.set((gauges.hot + idle) as u64);
        self.counters.stacks_cold.set(gauges.cold as u64);
        self.counters.stack_mapped_bytes.set(gauges.mapped_bytes as u64);
    }

    /// Requests a trim.
    pub(super) fn ask_for_trim(&self) {
        self.is_trimming.set(true);
    }

    #[inline]
    pub(super) fn is_trimming(&self) -> bool {
        self.is_trimming.get()
    }

    /// Gives back memory of unused stacks: often if the shard is about to wait, else now and then.
    /// Returns how long the shard may then wait, which is less while there is more to give back.
    #[cold]
    pub(super) fn trim(
        &self,
        now: Tick,
        beats: u64,
        timeout: Option<Duration>,
    ) -> Option<Duration> {
        let busy = timeout == Some(Duration::ZERO);
        if now >= self.trim_at.get() {
            let interval = if busy { TRIM_INTERVAL_BUSY } else { TRIM_INTERVAL };
            self.trim_at.set(now.saturating_add(interval));
            self.end_workers();
            let mut pool = self.pool.borrow_mut();
            pool.trim();
            // While the shard works there is always something to trim: the monitor asks again
            // later.
            let is_quiet = beats - self.trimmed_at.replace(beats) < BEATS_MAX_QUIET;
            self.is_trimming.set(pool.wants_trim() && is_quiet);
        }
        if busy || !self.is_trimming.get() {
            return timeout;
        }
        let left = self.trim_at.get().saturating_since(now);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }
}

/// How many idle workers a shard keeps. Arbitrary: as many as activations wait at the same time on
/// a busy shard.
const IDLE_WORKERS_MAX: usize = 64;

/// The shortest time between two trims. Arbitrary: a trim takes up to a millisecond, and the memory
/// of a peak is given back within a second or two.
const TRIM_INTERVAL: Duration = Duration::from_millis(100);

/// The same for a shard that never pauses: a trim takes a thousandth of its time.
const TRIM_INTERVAL_BUSY: Duration = Duration::from_secs(1);

/// Fewer beats than this between two trims mean that the shard is quiet. Arbitrary: some hundred
/// turns of fibers.
const BEATS_MAX_QUIET: u64 = 1_000;
