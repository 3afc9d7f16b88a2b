//! Giving the thread back, and being woken.
//!
//! Every blocking call ends in [`Shard::park`]. Its contract is std's: it may return early, so
//! whoever waits for something looks again in a loop. A wake-up of a fiber that has not parked yet
//! is kept: the fiber is then in the run queue, and its park lasts until its turn comes.
//!
//! The rules of unwinding are kept here, in `yield_point`:
//! - a cancelled fiber raises, before it parks and after;
//! - a fiber that unwinds neither parks nor raises: the call returns at once (std counts panics per
//!   thread, so another fiber that ran meanwhile would believe that it panicked itself);
//! - a fiber that swallows its cancels is given up after [`RAISES_MAX`] of them.
//!
//! Because nothing parks while it unwinds, `std::thread::panicking()` at a yield point speaks of
//! the running fiber alone.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::local;
use super::mailbox::{Mailbox, Message};
use super::shard::Shard;
use crate::fiber::{FiberCell, FiberKey, Suspend, Wait, unwind};

/// A handle to a fiber, for waking it from anywhere.
///
/// Like [`std::thread::Thread`], and got in the same way: with [`current`].
#[derive(Clone)]
pub struct Fiber {
    shard_id: u64,
    key: FiberKey,
    mailbox: Arc<Mailbox>,
}

/// The calling fiber may not wait, because it is unwinding: it panicked, was cancelled or passed
/// its deadline, and a destructor has made a blocking call.
///
/// Code that is no destructor never sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwinding;

impl Fiber {
    /// Ends the fiber's current or next [`park`]. Any other wait of it looks again at what it waits
    /// for, and a resting fiber runs an episode. Works from every thread; does nothing if the fiber
    /// has ended.
    ///
    /// Not a yield point.
    pub fn unpark(&self) {
        if !self.on_its_shard(|shard| shard.unpark_key(self.key)) {
            // A closed mailbox means that the fiber has ended, which is no error here.
            let _ = self.mailbox.send(Message::Unpark(self.key));
        }
    }

    /// Ends the fiber's current wait, or its next one if it has not begun; a [`park`] too, which
    /// may return early, but not the one after it. From every thread.
    pub(crate) fn wake(&self) {
        if !self.on_its_shard(|shard| shard.wake_key(self.key)) {
            let _ = self.mailbox.send(Message::Wake(self.key));
        }
    }

    /// What tells the fiber from all others of the process.
    pub(crate) fn id(&self) -> (u64, FiberKey) {
        (self.shard_id, self.key)
    }

    /// Calls `act` if the caller is on the fiber's own thread; returns whether it is.
    fn on_its_shard(&self, act: impl FnOnce(&Shard)) -> bool {
        local::try_with(|shard| {
            let here = shard.id == self.shard_id;
            if here {
                act(shard);
            }
            here
        })
        .unwrap_or(false)
    }
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("shard", &self.shard_id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A handle to the calling fiber.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let me = sched::current();
///     sched::spawn(move || me.unpark());
///     sched::park();
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn current() -> Fiber {
    local::with(|shard| shard.handle_to(&shard.current()))
}

/// As [`current`]; `None` where no fiber runs.
pub(crate) fn try_current() -> Option<Fiber> {
    local::try_with(|shard| shard.try_current().map(|fiber| shard.handle_to(&fiber))).flatten()
}

/// Suspends the calling fiber until it is woken; `None` where no fiber runs.
pub(crate) fn try_park(wait: Wait) -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|_| shard.park(wait))).flatten()
}

/// As [`try_park`], but for at most `timeout`.
pub(crate) fn try_park_timeout(timeout: Duration, wait: Wait) -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| {
        shard.try_current().map(|_| {
            let _timer = shard.set_timer(timeout);
            shard.park(wait)
        })
    })
    .flatten()
}

/// What a park would do first: refuse while the calling fiber unwinds, raise if it is to end.
/// `None` where no fiber runs.
pub(crate) fn try_yield_point() -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|fiber| yield_point(&fiber))).flatten()
}

/// As [`checkpoint`]; does nothing where no fiber runs.
pub(crate) fn try_checkpoint() {
    if current_id().is_some() {
        checkpoint();
    }
}

/// What tells the calling fiber from all others of the process; `None` where no fiber runs.
pub(crate) fn current_id() -> Option<(u64, FiberKey)> {
    local::try_with(|shard| shard.current.borrow().as_ref().map(|fiber| (shard.id, fiber.key)))
        .flatten()
}

/// Waits until [`Fiber::unpark`] is called on the calling fiber, or was since its last wait.
///
/// A yield point. As with [`std::thread::park`] it may also return for no reason: call it in a
/// loop that checks what it waits for. Returns at once in a fiber that unwinds.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (ready, me) = (Rc::new(Cell::new(false)), sched::current());
///     sched::spawn({
///         let ready = Rc::clone(&ready);
///         move || {
///             ready.set(true);
///             me.unpark();
///         }
///     });
///     while !ready.get() {
///         sched::park();
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn park() {
    local::with(|shard| {
        // An unwinding fiber does not wait, which the contract allows.
        let _ = shard.park_unless_unparked();
    });
}

/// As [`park`], but for at most `timeout`.
///
/// ```
/// use std::time::{Duration, Instant};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let start = Instant::now();
///     while start.elapsed() < Duration::from_millis(5) {
///         sched::park_timeout(Duration::from_millis(5));
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn park_timeout(timeout: Duration) {
    local::with(|shard| {
        let _timer = shard.set_timer(timeout);
        let _ = shard.park_unless_unparked();
    });
}

/// Lets every other ready fiber run once.
///
/// A yield point. Returns at once in a fiber that unwinds.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let other = sched::spawn(|| "has run");
///     sched::yield_now();
///     assert_eq!(other.join().unwrap(), "has run");
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn yield_now() {
    local::with(|shard| {
        shard.wake(shard.current());
        // An unwinding fiber does not wait.
        let _ = shard.park(Wait::Turn);
    });
}

/// Puts the calling fiber into the run queue, so that its next wait ends early, after the other
/// ready fibers have run. An episode that has more to do before it rests calls this and ends.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::ops::ControlFlow;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let mut left = 3;
///     let fiber = sched::spawn_episodes(move || {
///         left -= 1;
///         if left == 0 {
///             return ControlFlow::Break(());
///         }
///         sched::wake_later();
///         ControlFlow::Continue(())
///     });
///     fiber.join().unwrap();
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn wake_later() {
    local::with(|shard| shard.wake(shard.current()));
}

/// Counts one operation that succeeded without waiting; every 128th of a turn yields.
///
/// Sockets and channels call it so that a peer that always has something ready cannot keep the
/// thread. A loop of your own that computes for long may call it too.
///
/// A yield point.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     for _ in 0..1_000 {
///         sched::checkpoint(); // other fibers run in between
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn checkpoint() {
    let spent = local::with(|shard| match shard.budget.get() {
        0 => true,
        left => {
            shard.budget.set(left - 1);
            false
        }
    });
    if spent {
        yield_now();
    }
}

/// Has `hook` called, once, if the calling fiber waits for something before the guard is dropped:
/// for what must not be kept back while the fiber waits, such as output that is collected.
///
/// The hook runs on the fiber, and may wait itself. There is one at a time: a second call replaces
/// the first's.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let flushed = Rc::new(Cell::new(0));
///     let count = Rc::clone(&flushed);
///     let guard = sched::before_park(Rc::new(move || count.set(count.get() + 1)));
///     assert_eq!(flushed.get(), 0);
///     sched::yield_now();
///     sched::yield_now();
///     assert_eq!(flushed.get(), 1);
///     drop(guard);
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn before_park(hook: Rc<dyn Fn()>) -> BeforePark {
    let fiber = local::with(Shard::current);
    fiber.before_park.set(Some(hook));
    BeforePark { fiber }
}

/// Takes the hook of [`before_park`] back when it is dropped.
#[must_use = "the hook is taken back when this is dropped"]
pub struct BeforePark {
    fiber: Rc<FiberCell>,
}

impl Drop for BeforePark {
    fn drop(&mut self) {
        self.fiber.before_park.set(None);
    }
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}

impl Shard {
    /// Suspends the running fiber until it is woken. May return early.
    pub(crate) fn park(&self, wait: Wait) -> Result<(), Unwinding> {
        let fiber = self.current();
        yield_point(&fiber)?;
        if let Some(hook) = fiber.before_park.take() {
            // The hook may wait for something of its own, and so take the wake-up that this wait
            // is for: return early, and let the caller look again.
            hook();
            return yield_point(&fiber);
        }
        fiber.wait.set(wait);
        fiber.since.set(self.now.get());
        // SAFETY: `fiber` is the one that the shard resumed, so this code runs on its coroutine.
        unsafe { fiber.switch.suspend(Suspend::Parked) };
        fiber.wait.set(Wait::Nothing);
        yield_point(&fiber)
    }

    /// As [`park`](Self::park), but only until the next turn if somebody unparked the fiber: even
    /// if another wait took the wake-up, it is not lost.
    fn park_unless_unparked(&self) -> Result<(), Unwinding> {
        let fiber = self.current();
        if fiber.unparked.get() {
            self.wake(Rc::clone(&fiber));
        }
        self.park(Wait::Unpark)?;
        fiber.unparked.set(false);
        Ok(())
    }

    pub(super) fn handle_to(&self, fiber: &FiberCell) -> Fiber {
        Fiber { shard_id: self.id, key: fiber.key, mailbox: Arc::clone(&self.mailbox) }
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

    pub(crate) fn try_current(&self) -> Option<Rc<FiberCell>> {
        self.current.borrow().clone()
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

    /// Every further yield point of the fiber raises.
    pub(crate) fn cancel(&self, fiber: &Rc<FiberCell>) {
        fiber.cancelled.set(true);
        self.wake(Rc::clone(fiber));
    }
}

/// Whether the running fiber may wait: not if it unwinds; raises if it is cancelled.
fn yield_point(fiber: &FiberCell) -> Result<(), Unwinding> {
    if std::thread::panicking() {
        return Err(Unwinding);
    }
    if !fiber.cancelled.get() {
        return Ok(());
    }
    fiber.raises.set(fiber.raises.get() + 1);
    if fiber.raises.get() > RAISES_MAX {
        // SAFETY: the callers pass the running fiber, so this is its coroutine.
        unsafe { fiber.switch.suspend(Suspend::Abandoned) };
        unreachable!("an abandoned fiber was resumed");
    }
    unwind::raise()
}

impl From<Unwinding> for io::Error {
    fn from(_: Unwinding) -> Self {
        Self::other(Unwinding)
    }
}

impl fmt::Display for Unwinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fiber is unwinding and may not wait")
    }
}

impl std::error::Error for Unwinding {}

/// How many operations may succeed in a row before the fiber yields. Arbitrary: at about 1 µs an
/// operation it keeps the others waiting for a tenth of a millisecond.
pub(crate) const BUDGET: u32 = 128;

/// How often a cancel is raised in one fiber. Two or three levels of `catch_unwind` are plausible
/// in honest code; a loop around one is not, and would spin for ever.
const RAISES_MAX: u32 = 16;
