//! One thread's scheduler: the run queue, the turn, the end.
//!
//! **The turn.** Run every fiber that is ready now, once; look into the mailbox; ask the driver
//! what became ready, waiting until the next timer if nothing can run; read the clock once; wake
//! whose timer is due. While fibers keep the run queue busy the driver is asked only every few
//! turns. After a pause (a fiber kept the thread, or the process was stopped) the driver is asked
//! until it has told everything, before any timer is looked at: what came in time is in time.
//!
//! **The end.** `run` returns when its root fiber has. Whatever else is alive is cancelled then,
//! and run until it has unwound, or is given up: the table of fibers is the one owner of them
//! all, and it is empty before the shard is dropped. No suspended coroutine is ever dropped:
//! corosensei would unwind it by force, and spin for ever on one that catches the unwind in a
//! loop.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use corosensei::CoroutineResult;
use slotmap::SlotMap;

use super::checkpoint::BUDGET;
use super::config::Config;
use super::counters::Counters;
use super::deadlock::Circles;
use super::elsewhere;
use super::local;
use super::mailbox::{Mailbox, Sent};
use super::remains;
use super::report::{Report, Reporter};
use super::shard_local::ShardValues;
use super::source_state::{SourceKey, SourceState};
use super::spawn::{Builder, episode_on};
use super::timer::Alarms;
use super::tripwire::Tripwire;
use crate::driver::{Driver, EVENTS_MAX, Heard, World};
use crate::fiber::census::Census;
use crate::fiber::overflow;
use crate::fiber::pool::StackPool;
use crate::fiber::{Body, FiberCell, FiberKey, Resume, Suspend, Tick, unwind, while_running};
use crate::watch::{Limits, Pulse};

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
    pub(super) values: ShardValues,
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
    looked_at: Cell<u64>,
    /// No fiber has run since the last look outside.
    idle_turn: Cell<bool>,
    /// A fiber or a message waits for a stack: look again soon, whatever the timers say.
    pub(super) starved: Cell<bool>,
}

/// Runs `root` as the first fiber of a new shard on this thread, and returns what it returns.
///
/// Fibers that are still alive then are cancelled and have unwound before `run` returns. If `root`
/// panics, so does `run`, after the same clean-up.
///
/// # Fibers that were given up
///
/// One that was [given up](crate::JoinError::is_given_up), sooner or at the end, has not unwound.
/// It may have lent a thread-local of this thread to another thread, which still uses it. So
/// `run` returns as ever, but *the thread does not end*: when it has come to its end, it says so
/// on standard error and waits for ever, and so does whoever joins it. Run what may leave fibers
/// behind with [`spawn_shard`](crate::spawn_shard), whose `join` does not wait for such a thread,
/// or on a thread that nobody joins.
///
/// The process ends as ever, even on such a thread, by [`exit`](std::process::exit) or the end of
/// `main`. But that too would destroy the thread's thread-locals; so if the process has other
/// threads, it then ends at once with status 70, and says so.
///
/// # Blocking
///
/// Blocks the thread until `root` has ended, and the clean-up after it. That takes up to ten
/// seconds if a fiber is in an [`uncancellable`](crate::uncancellable) section.
///
/// # Errors
///
/// When the operating system refuses the readiness mechanism, the first stack, or one for signals;
/// when a driver is asked for that this system does not have ([`Config::driver`]);
/// when `root` was given up; and, on systems other than Linux with glibc, when fibers were given up
/// in an earlier `run` on this thread.
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

/// As [`run`], with a [`Config`] of its own; that one's example shows it.
///
/// # Blocking
///
/// As [`run`].
///
/// # Errors
///
/// As [`run`].
///
/// # Panics
///
/// As [`run`].
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // a shard's configuration is its own
pub fn run_with<T: 'static>(config: Config, root: impl FnOnce() -> T + 'static) -> io::Result<T> {
    remains::check()?;
    let shard = Shard::new(&config, Driver::system(config.driver)?);
    let entered = local::enter(&shard);
    unwind::warm_up();
    let Config { stall_limit: stall, busy_limit: busy, stuck_limit: stuck, .. } = config;
    shard.watch(Limits { stall, busy, stuck });
    let _signals = overflow::watch()?;
    let root = shard.spawn(Builder::new().name("root"), Location::caller(), None, root)?;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        loop {
            shard.run_ready();
            if root.is_finished() {
                break;
            }
            if !shard.is_busy() {
                shard.look_outside(None);
            }
        }
        shard.end();
    }));
    if let Err(payload) = ran {
        shard.end_broken();
        resume_unwind(payload);
    }
    let outcome = root.join();
    drop(entered);
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => match error.into_panic() {
            Ok(payload) => resume_unwind(payload),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

/// The shard's clock: read once a turn, so it may lag behind by the turn's length.
///
/// Good for stamps and for what is checked often; an [`Instant::now`] of your own is exact.
///
/// Not a yield point.
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
    local::with(Shard::now)
}

/// The time now, as an [`Instant::now`], but virtual in a [simulation](crate::sim).
///
/// Not a yield point.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     let start = sched::clock();
///     sched::sleep(Duration::from_secs(3_600));
///     assert!(sched::clock() - start >= Duration::from_secs(3_600)); // which took no time
/// });
/// ```
pub fn clock() -> Instant {
    local::try_with(|shard| shard.instant_of(shard.clock())).unwrap_or_else(|| {
        // Outside of a fiber: on a thread of its own, or what the world does by itself.
        World::current().map_or_else(Instant::now, |world| world.instant())
    })
}

/// The time of day, as a [`SystemTime::now`]; in a [simulation](crate::sim) it begins at midnight
/// of 1 January 2030 (UTC), and is virtual.
///
/// Not a yield point.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use straightline_sched::{self as sched, sim};
///
/// assert!(sched::system_time() <= SystemTime::now());
/// sim::run(7, || {
///     let since_1970 = sched::system_time().duration_since(SystemTime::UNIX_EPOCH).unwrap();
///     assert_eq!(since_1970.as_secs(), 1_893_456_000);
/// });
/// ```
pub fn system_time() -> SystemTime {
    match World::current() {
        None => SystemTime::now(),
        Some(world) => SystemTime::UNIX_EPOCH + SIMULATED_START + world.elapsed(),
    }
}

/// A random number; in a [simulation](crate::sim) its seed determines it. Good for jitter and
/// sampling, and not for secrets.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::{self as sched, sim};
///
/// assert_ne!(sched::random_u64(), sched::random_u64());
/// assert_eq!(sim::run(7, sched::random_u64), sim::run(7, sched::random_u64));
/// ```
pub fn random_u64() -> u64 {
    match World::current() {
        None => fastrand::u64(..),
        Some(world) => world.drawn.borrow_mut().u64(),
    }
}

impl Shard {
    pub(crate) fn new(config: &Config, driver: Driver) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let mailbox = Arc::new(Mailbox::new(driver.waker(), config.sent_fibers_max));
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        elsewhere::enter(id, &driver, &mailbox);
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

    /// Whether the fibers that are ready can go on without a look outside for now.
    #[inline]
    fn is_busy(&self) -> bool {
        !self.ready.borrow().is_empty()
            && self.pulse.beats() - self.looked_at.get() < BEATS_MAX
            && !self.idle_turn.replace(true)
    }

    /// The second half of a turn: messages, events, the clock, timers.
    ///
    /// It does not wait past `until`.
    pub(crate) fn look_outside(&self, until: Option<Tick>) {
        let busy = !self.ready.borrow().is_empty() && !self.idle_turn.get();
        self.idle_turn.set(true);
        let ran = self.looked_at.replace(self.pulse.beats()) != self.pulse.beats();
        if self.has_mail() {
            self.read_mail(self.mailbox.take());
        }
        // Where it is not going to wait, the clock that is read behind it does.
        let mut timeout = Some(Duration::ZERO);
        let mut asked = self.tick.get();
        if !busy {
            asked = self.clock();
            if ran {
                self.note_turn(asked);
            }
            timeout = self.timeout(asked, until);
        }
        if self.trimming.get() {
            timeout = self.trim_stacks(timeout);
        }
        let heard = self.listen(timeout);
        let now = self.clock();
        if busy {
            self.note_turn(now);
        }
        self.tick.set(now);
        if self.is_alarm_due(now) {
            self.hear_out(heard, asked, timeout);
            self.ring_alarms();
        }
        self.pulse.turn();
        self.counters.ready_now.set(self.ready.borrow().len() as u64);
    }

    /// Lets the driver tell what became ready, for at most `timeout`.
    fn listen(&self, timeout: Option<Duration>) -> Heard {
        match self.driver.wait(timeout, |readiness| self.on_readiness(readiness)) {
            Ok(heard) => heard,
            Err(error) => panic!("straightline: waiting for events failed: {error}"),
        }
    }

    /// Before alarms ring at the turn's time: hears what had come until then. Whoever's data was
    /// there in time is not late, however long this thread was kept, or the process stopped.
    ///
    /// The driver was asked at `asked`, and has answered `heard` within `timeout`.
    fn hear_out(&self, mut heard: Heard, asked: Tick, timeout: Option<Duration>) {
        // It answered no earlier than then, and knows nothing of what came later.
        let answered = match heard {
            Heard::Nothing => asked.saturating_add(timeout.unwrap_or_default()),
            Heard::All | Heard::Part => asked,
        };
        if heard != Heard::Part && self.tick.get().saturating_since(answered) < PAUSE_MIN {
            return;
        }
        // Each source is told once before any is told again, so as many rounds tell them all.
        let rounds = self.sources.borrow().len() / EVENTS_MAX + 1;
        for _ in 0..rounds {
            heard = self.listen(Some(Duration::ZERO));
            if heard != Heard::Part {
                break;
            }
        }
        if self.has_mail() {
            self.read_mail(self.mailbox.take());
        }
    }

    /// The turn's fibers have run until `now`.
    fn note_turn(&self, now: Tick) {
        let nanos = now.nanos().saturating_sub(self.tick.get().nanos());
        if nanos > self.counters.longest_turn_nanos.read() {
            self.counters.longest_turn_nanos.set(nanos);
        }
    }

    /// Runs each fiber that is ready now once; those that become ready meanwhile wait.
    pub(super) fn run_ready(&self) {
        if self.tripwire.is_some() {
            return self.run_ready_watched();
        }
        let count = self.ready.borrow().len();
        for _ in 0..count {
            let Some(fiber) = self.next_ready() else { break };
            self.resume(fiber);
        }
    }

    /// The same, and looks where each of them then waits.
    #[cold]
    fn run_ready_watched(&self) {
        let count = self.ready.borrow().len();
        for _ in 0..count {
            let Some(fiber) = self.next_ready() else { break };
            self.resume(Rc::clone(&fiber));
            if let Some(wait) = self.look_at_wait(&fiber) {
                self.report(&Report::ThreadBoundWait(wait));
            }
        }
    }

    #[inline]
    fn next_ready(&self) -> Option<Rc<FiberCell>> {
        let fiber = self.ready.borrow_mut().pop_front()?;
        fiber.queued.set(false);
        Some(fiber)
    }

    /// Runs a fiber until it suspends or ends, and files it accordingly.
    pub(crate) fn resume(&self, fiber: Rc<FiberCell>) {
        let mut body = fiber.body.borrow_mut();
        if body.is_resting() {
            let Ok(stack) = self.take_stack(None) else {
                drop(body);
                self.starved.set(true);
                self.wake(fiber);
                return;
            };
            fiber.stack.set(stack.bounds());
            if let Body::Idle(Some(episode)) = mem::replace(&mut *body, Body::OVER) {
                *body = Body::Stackful(episode_on(stack, episode));
            }
        }
        let Body::Stackful(coroutine) = &mut *body else {
            return; // over: a wake-up came late
        };
        self.idle_turn.set(false);
        self.budget.set(BUDGET);
        self.pulse.beat();
        fiber.others_panic.set(std::thread::panicking());
        let result = while_running(&fiber, || coroutine.resume(Resume::Run));
        self.pulse.beat();
        if matches!(result, CoroutineResult::Yield(Suspend::Parked)) {
            return;
        }
        let Body::Stackful(coroutine) = mem::replace(&mut *body, Body::OVER) else {
            unreachable!("the body changed while it ran");
        };
        match result {
            CoroutineResult::Return(rest) => {
                self.give_stack(coroutine.into_stack(), &fiber);
                if let Some(episode) = rest {
                    *body = Body::Idle(Some(episode));
                    return;
                }
            }
            CoroutineResult::Yield(Suspend::GivenUp(why)) => {
                self.forget_body(Body::Stackful(coroutine));
                drop(body);
                return self.give_up(&fiber, why);
            }
            CoroutineResult::Yield(Suspend::Parked) => unreachable!("it was seen above"),
        }
        drop(body);
        self.finish(&fiber);
    }

    /// How long the driver may wait.
    fn timeout(&self, now: Tick, until: Option<Tick>) -> Option<Duration> {
        if self.starved.take() {
            return Some(STARVED_WAIT);
        }
        if !self.ready.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.borrow().next_at();
        let at = next.into_iter().chain(until).min()?;
        Some(at.saturating_since(now).min(WAIT_MAX))
    }
}

/// 2030-01-01T00:00:00Z. Arbitrary: a round date that certificates and cookies of today outlive.
const SIMULATED_START: Duration = Duration::from_secs(1_893_456_000);

/// For how long a busy run queue may keep the shard from looking outside: 128 fibers' turns, at two
/// beats each, or one round of the queue if that is longer. Arbitrary: at about 1 µs a turn it
/// keeps an event waiting for a tenth of a millisecond.
const BEATS_MAX: u64 = 256;

/// How long before an alarm the driver may have been asked last, for what came in between not to be
/// asked for. Arbitrary: far less than any timeout is exact to, and more than a quiet turn takes.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How long to wait for a stack before looking again, if nothing else happens.
const STARVED_WAIT: Duration = Duration::from_millis(10);

/// The longest wait that is asked of the driver at once; then the shard looks again. kqueue refuses
/// a wait of some years, and before Linux 5.11 epoll knows none of more than 24 days.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
