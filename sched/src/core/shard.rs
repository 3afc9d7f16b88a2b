//! One thread's scheduler: the run queue, the turn, the end.
//!
//! **The turn.** Run every fiber that is ready now, once; look into the mailbox; ask the driver
//! what became ready, waiting until the next timer if nothing can run; read the clock once; wake
//! whose timer is due. While fibers keep the run queue busy the driver is asked only every few
//! turns.
//!
//! **The end.** `run` returns when its root fiber has. Whatever else is alive is cancelled then,
//! and run until it has unwound: the table of fibers is the one owner of them all, and it is empty
//! before the shard is dropped. No suspended coroutine is ever dropped: corosensei would unwind it
//! by force, and spin for ever on one that catches the unwind in a loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corosensei::CoroutineResult;
use slotmap::SlotMap;

use super::local;
use super::mailbox::{Mailbox, Message, Sent};
use super::park::BUDGET;
use super::source::{SourceKey, SourceState};
use super::spawn::episode_on;
use super::timer::Timers;
use crate::driver::Driver;
use crate::fiber::census::Census;
use crate::fiber::overflow;
use crate::fiber::stack::{FiberStack, StackPool};
use crate::fiber::{Body, FiberCell, FiberKey, Suspend, unwind};

/// What a shard is made with.
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let config = Config { stack_bytes: 64 * 1024, ..Config::default() };
/// assert_eq!(sched::run_with(config, || "done")?, "done");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The size of a fiber's stack in bytes, rounded up to a power of two; at least 32 KiB, at most
    /// 64 GiB. Default: 256 KiB. Only the pages that a fiber touches are resident, so a generous
    /// size costs address space and nothing else.
    pub stack_bytes: usize,
    /// Measures what each fiber uses of its stack, for [`stack_census`](crate::stack_census).
    /// Default: `false`, because it takes some 10 µs for each fiber that ends, and as much for each
    /// that begins. Meant for a trial run, by which sizes are chosen.
    pub stack_census: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { stack_bytes: 256 * 1024, stack_census: false }
    }
}

pub(crate) struct Shard {
    /// Tells the shards of a process apart, one after the other on the same thread included.
    pub(crate) id: u64,
    pub(crate) driver: Driver,
    /// The turn's reading of the clock.
    pub(crate) now: Cell<Instant>,
    /// Every fiber that is not over: the owner.
    pub(crate) fibers: RefCell<SlotMap<FiberKey, Rc<FiberCell>>>,
    /// Each fiber stands here at most once, see [`FiberCell::queued`].
    pub(crate) ready: RefCell<VecDeque<Rc<FiberCell>>>,
    pub(crate) current: RefCell<Option<Rc<FiberCell>>>,
    /// What the running fiber may still do without waiting before it yields.
    pub(crate) budget: Cell<u32>,
    pub(crate) timers: RefCell<Timers<Rc<FiberCell>>>,
    pub(crate) sources: RefCell<SlotMap<SourceKey, SourceState>>,
    pub(crate) stacks: RefCell<StackPool>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// What other threads sent and found no stack yet; oldest first.
    deferred: RefCell<VecDeque<Sent>>,
    /// What ended fibers used of their stacks, if that is asked for.
    pub(super) census: RefCell<Census>,
    /// When the stacks may be trimmed again.
    trim_at: Cell<Instant>,
    /// Turns since the driver was asked, while the run queue stays busy.
    busy_turns: Cell<u32>,
    /// No fiber has run since the last look outside.
    idle_turn: Cell<bool>,
    /// A fiber or a message waits for a stack: look again soon, whatever the timers say.
    starved: Cell<bool>,
}

/// Runs `root` as the first fiber of a new shard on this thread, and returns what it returns.
///
/// Fibers that are still alive then are cancelled and have unwound before `run` returns. If `root`
/// panics, so does `run`, after the same clean-up.
///
/// # Errors
///
/// When the operating system refuses the readiness mechanism, the first stack, or one for signals.
///
/// # Panics
///
/// When `root` does, inside of another `run` on the same thread, and when waiting for events fails,
/// which is a broken descriptor table.
///
/// ```
/// use straightline_sched as sched;
///
/// let sum = sched::run(|| {
///     let fibers: Vec<_> = (1..=3).map(|n| sched::spawn(move || n * n)).collect();
///     fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum::<u32>()
/// })?;
/// assert_eq!(sum, 14);
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn run<T: 'static>(root: impl FnOnce() -> T + 'static) -> io::Result<T> {
    run_with(Config::default(), root)
}

/// As [`run`], with a [`Config`] of its own.
///
/// # Errors
///
/// As [`run`].
///
/// # Panics
///
/// As [`run`].
#[allow(clippy::needless_pass_by_value)] // a shard's configuration is its own
#[track_caller]
pub fn run_with<T: 'static>(config: Config, root: impl FnOnce() -> T + 'static) -> io::Result<T> {
    let shard = Shard::new(&config)?;
    let entered = local::enter(&shard);
    unwind::warm_up();
    let _signals = overflow::watch()?;
    let root = shard.spawn(root, Location::caller())?;
    loop {
        shard.run_ready();
        if root.is_finished() {
            break;
        }
        shard.look_outside();
    }
    shard.cancel_all();
    let outcome = root.join();
    drop(entered);
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => match error.into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

/// The shard's clock: read once a turn, so it may lag behind by the turn's length.
///
/// Good for stamps and for what is checked often; an [`Instant::now`] of your own is exact.
///
/// # Panics
///
/// Outside of [`run`].
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| assert!(sched::now() <= std::time::Instant::now()))?;
/// # std::io::Result::Ok(())
/// ```
pub fn now() -> Instant {
    local::with(|shard| shard.now.get())
}

impl Shard {
    fn new(config: &Config) -> io::Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let driver = Driver::new()?;
        let driver_now = driver.now();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            now: Cell::new(driver_now),
            driver,
            fibers: RefCell::default(),
            ready: RefCell::default(),
            current: RefCell::default(),
            budget: Cell::new(BUDGET),
            timers: RefCell::default(),
            sources: RefCell::default(),
            stacks: RefCell::new(StackPool::new(config.stack_bytes, config.stack_census)),
            mailbox,
            deferred: RefCell::default(),
            census: RefCell::default(),
            trim_at: Cell::new(driver_now),
            busy_turns: Cell::new(0),
            idle_turn: Cell::new(true),
            starved: Cell::new(false),
        })
    }

    /// The second half of a turn: messages, events, the clock, timers.
    fn look_outside(&self) {
        self.read_mail(self.mailbox.take());
        let busy = !self.ready.borrow().is_empty() && !self.idle_turn.replace(true);
        if busy && self.busy_turns.get() < BUSY_TURNS_MAX {
            self.busy_turns.set(self.busy_turns.get() + 1);
            return;
        }
        self.busy_turns.set(0);
        let timeout = self.trim_stacks(self.timeout(busy));
        let waited = self.driver.wait(timeout, |readiness| self.on_readiness(readiness));
        if let Err(error) = waited {
            panic!("straightline: waiting for events failed: {error}");
        }
        self.now.set(self.driver.now());
        loop {
            let due = self.timers.borrow_mut().pop_due(self.now.get());
            let Some(fiber) = due else { break };
            self.wake(fiber);
        }
    }

    /// Runs each fiber that is ready now once; those that become ready meanwhile wait.
    fn run_ready(&self) {
        let count = self.ready.borrow().len();
        for _ in 0..count {
            let fiber = self.ready.borrow_mut().pop_front();
            let Some(fiber) = fiber else { break };
            fiber.queued.set(false);
            self.resume(fiber);
        }
    }

    /// Runs a fiber until it suspends or ends, and files it accordingly.
    fn resume(&self, fiber: Rc<FiberCell>) {
        let mut body = fiber.body.borrow_mut();
        if let Body::Resting(_) = &*body {
            let Ok(stack) = self.take_stack() else {
                drop(body);
                self.starved.set(true);
                self.wake(fiber);
                return;
            };
            fiber.stack.set(stack.bounds());
            if let Body::Resting(episode) = mem::replace(&mut *body, Body::Over) {
                *body = Body::Stackful(episode_on(stack, episode));
            }
        }
        let Body::Stackful(coroutine) = &mut *body else {
            return; // over: a wake-up came late
        };
        self.idle_turn.set(false);
        self.budget.set(BUDGET);
        self.current.replace(Some(Rc::clone(&fiber)));
        let result = overflow::while_running(&fiber, || coroutine.resume(()));
        self.current.replace(None);
        if matches!(result, CoroutineResult::Yield(Suspend::Parked)) {
            return;
        }
        let Body::Stackful(coroutine) = mem::replace(&mut *body, Body::Over) else {
            unreachable!("the body changed while it ran");
        };
        match result {
            CoroutineResult::Return(rest) => {
                self.give_stack(coroutine.into_stack(), &fiber);
                if let Some(episode) = rest {
                    *body = Body::Resting(episode);
                    return;
                }
            }
            // Abandoned: its frames stay as they are for ever, and so does what they point into.
            // Their timer guards never run.
            CoroutineResult::Yield(_) => {
                mem::forget(coroutine);
                self.timers.borrow_mut().remove_where(|waiter| Rc::ptr_eq(waiter, &fiber));
            }
        }
        drop(body);
        self.finish(&fiber);
    }

    /// A stack of the shard's usual size.
    pub(super) fn take_stack(&self) -> io::Result<FiberStack> {
        let mut stacks = self.stacks.borrow_mut();
        let bytes = stacks.default_bytes();
        stacks.take(bytes)
    }

    fn give_stack(&self, stack: FiberStack, fiber: &FiberCell) {
        let stack_bytes = stack.bytes();
        if let Some(used_bytes) = self.stacks.borrow_mut().give(stack) {
            self.census.borrow_mut().record(fiber.spawned_at, stack_bytes, used_bytes);
        }
    }

    fn finish(&self, fiber: &Rc<FiberCell>) {
        fiber.over.set(true);
        self.fibers.borrow_mut().remove(fiber.key);
        if let Some(joiner) = fiber.joiner.take() {
            self.wake(joiner);
        }
    }

    fn read_mail(&self, messages: Vec<Message>) {
        let mut deferred = self.deferred.borrow_mut();
        for message in messages {
            match message {
                Message::Unpark(key) => self.unpark_key(key),
                Message::Wake(key) => self.wake_key(key),
                Message::Spawn(sent) => deferred.push_back(sent),
            }
        }
        while !deferred.is_empty() {
            // A refused spawn would drop the closure: make sure of a stack before.
            let mut stacks = self.stacks.borrow_mut();
            let bytes = stacks.default_bytes();
            let reserved = stacks.reserve(bytes);
            drop(stacks);
            if reserved.is_err() {
                self.starved.set(true);
                return;
            }
            if let Some(sent) = deferred.pop_front() {
                let spawned = self.spawn(sent.body, sent.spawned_at);
                debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
            }
        }
    }

    /// How long the driver may wait.
    fn timeout(&self, busy: bool) -> Option<Duration> {
        if busy {
            return Some(Duration::ZERO);
        }
        if self.starved.take() {
            return Some(STARVED_WAIT);
        }
        if !self.ready.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        let at = self.timers.borrow().next_at()?;
        Some(at.saturating_duration_since(self.driver.now()))
    }

    /// Gives back memory of stacks that are not used, often if the shard is about to wait, else now
    /// and then; returns how long it may then wait, which is less while there is more to give back.
    fn trim_stacks(&self, timeout: Option<Duration>) -> Option<Duration> {
        let mut stacks = self.stacks.borrow_mut();
        if !stacks.wants_trim() {
            return timeout;
        }
        let (now, busy) = (self.now.get(), timeout == Some(Duration::ZERO));
        if now >= self.trim_at.get() + if busy { TRIM_DELAY_BUSY } else { Duration::ZERO } {
            self.trim_at.set(now + TRIM_INTERVAL);
            stacks.trim();
        }
        if busy || !stacks.wants_trim() {
            return timeout;
        }
        let left = self.trim_at.get().saturating_duration_since(now);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Ends every fiber that is left.
    fn cancel_all(&self) {
        let unread = self.mailbox.close().into_iter().filter_map(|message| match message {
            Message::Spawn(sent) => Some(sent),
            Message::Unpark(_) | Message::Wake(_) => None,
        });
        // What never began is dropped on a fiber, where its destructors may do what they like.
        for sent in self.deferred.take().into_iter().chain(unread) {
            if let Ok(fiber) = self.spawn(sent.body, sent.spawned_at) {
                fiber.cancel();
                self.run_ready();
            }
        }
        loop {
            let left: Vec<_> = self.fibers.borrow().values().cloned().collect();
            if left.is_empty() {
                break;
            }
            for fiber in &left {
                self.cancel(fiber);
            }
            self.run_ready();
        }
        debug_assert!(self.ready.borrow().iter().all(|fiber| fiber.over.get()));
        debug_assert_eq!(self.timers.borrow().len(), 0, "a timer outlived its fiber");
    }
}

/// Turns in a row that may go by without asking the driver. Arbitrary: each runs every ready fiber
/// once, so an event waits for about this many operations of each.
const BUSY_TURNS_MAX: u32 = 16;

/// How long to wait for a stack before looking again, if nothing else happens.
const STARVED_WAIT: Duration = Duration::from_millis(10);

/// How often stacks are trimmed at most. Arbitrary: a trim takes up to a millisecond, and a spike's
/// memory comes back within a second or two.
const TRIM_INTERVAL: Duration = Duration::from_millis(100);

/// How much longer a shard without a pause puts it off: a thousandth of its time, at most.
const TRIM_DELAY_BUSY: Duration = Duration::from_millis(900);
