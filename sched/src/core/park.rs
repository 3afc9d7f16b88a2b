//! Giving the thread back, and being woken.
//!
//! Every blocking call ends in [`Shard::park`]. Its contract is std's: it may return early, so
//! whoever waits for something looks again in a loop. A wake-up of a fiber that has not parked yet
//! is kept: the fiber is then in the run queue, and its park lasts until its turn comes.
//!
//! The rules of unwinding are kept here, in `yield_point`:
//! - a fiber that is cancelled, or past its deadline, raises, before it parks and after;
//! - a fiber that unwinds neither parks nor raises: the call returns at once (std counts panics per
//!   thread, so another fiber that ran meanwhile would believe that it panicked itself);
//! - a fiber that swallows its unwinds gets them again; after [`RAISES_MAX`] of them its calls fail
//!   at once without parking, and after [`FAILURES_MAX`] such failures it is given up.
//!
//! Whether a fiber unwinds is [`FiberCell::unwinds`].

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inspect::{label, number};
use super::local;
use super::mailbox::{Mailbox, Message};
use super::shard::Shard;
use crate::fiber::unwind::Reason;
use crate::fiber::{
    Deadline, FiberCell, FiberKey, Frame, GivenUp, Suspend, Tick, Wait, give_up_running, running,
    tell_running,
};

/// A handle to a fiber, for waking it from anywhere.
///
/// Like [`std::thread::Thread`], and got in the same way: with [`current`], whose example shows it.
#[derive(Clone)]
pub struct Fiber {
    pub(super) shard_id: u64,
    pub(super) key: FiberKey,
    pub(super) mailbox: Arc<Mailbox>,
}

/// The calling fiber may not wait, because it is unwinding: it panicked, was cancelled or passed
/// its deadline, and a destructor has made a blocking call.
///
/// Code that is no destructor, and passes on what it catches, never sees it.
///
/// ```
/// use straightline_sched::{self as sched, Unwinding, sync::Event};
///
/// struct Polite(Event);
///
/// impl Drop for Polite {
///     fn drop(&mut self) {
///         assert_eq!(self.0.wait(), Err(Unwinding)); // at once, instead of waiting
///     }
/// }
///
/// sched::run(|| {
///     let fiber = sched::spawn(|| {
///         let _polite = Polite(Event::new());
///         sched::park();
///     });
///     sched::yield_now();
///     fiber.cancel();
///     assert!(fiber.join().unwrap_err().is_cancelled());
/// })?;
/// # std::io::Result::Ok(())
/// ```
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

    /// What [`FiberInfo::id`](crate::FiberInfo::id) says of it. Not a yield point.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| assert_eq!(sched::current().number(), sched::inspect()[0].id))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn number(&self) -> u64 {
        number(self.key)
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
/// Not a yield point.
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

/// As [`try_park`], but at most until `at`.
pub(crate) fn try_park_until(at: Instant, wait: Wait) -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|_| shard.park_until(wait, shard.tick_of(at))))
        .flatten()
}

/// What a park would do first: refuse while the calling fiber unwinds, raise if it is to end, and
/// call the hooks of `before_park`. `None` where no fiber runs.
pub(crate) fn try_before_wait() -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|fiber| shard.before_wait(&fiber))).flatten()
}

/// Whether something is to be done before the calling fiber waits, see [`try_before_wait`].
pub(crate) fn has_hook() -> bool {
    tell_running(FiberCell::has_hook) == Some(true)
}

/// Whether the calling fiber's next yield point raises.
pub(crate) fn is_to_end() -> bool {
    local::try_with(|shard| {
        let is_over = |fiber: &FiberCell| {
            fiber.cancelled.get() && fiber.masked.get() == 0
                || fiber.renew_end() <= shard.tick.get()
        };
        tell_running(is_over) == Some(true)
    })
    .unwrap_or(false)
}

/// Whether the calling fiber unwinds, or the thread where no fiber runs: it then may not wait.
pub(crate) fn is_unwinding() -> bool {
    tell_running(FiberCell::unwinds).unwrap_or_else(std::thread::panicking)
}

/// Where no fiber runs: whether the thread may wait instead. Not while it unwinds, and not if it is
/// a shard's, all of whose fibers would wait with it.
pub(crate) fn may_block_thread() -> bool {
    !std::thread::panicking() && !local::is_on_a_shard()
}

/// What tells the calling fiber from all others of the process; `None` where no fiber runs.
pub(crate) fn current_id() -> Option<(u64, FiberKey)> {
    local::try_with(|shard| tell_running(|fiber| (shard.id, fiber.key))).flatten()
}

/// Waits until [`Fiber::unpark`] is called on the calling fiber, or was since its last park.
///
/// As with [`std::thread::park`] it may also return for no reason: call it in a loop that checks
/// what it waits for.
///
/// # Blocking
///
/// A yield point, also for a fiber that was unparked already: it returns in its next turn. Returns
/// at once in a fiber that unwinds.
///
/// # Cancellation
///
/// A cancel or a deadline ends the wait by unwinding. An unpark that came meanwhile is kept for the
/// next park.
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
        let _ = shard.park_unless_unparked(|| shard.park(Wait::Unpark));
    });
}

/// As [`park`], but for at most `timeout`.
///
/// # Blocking
///
/// As [`park`].
///
/// # Cancellation
///
/// As [`park`].
///
/// # Panics
///
/// Outside of a fiber.
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
        let at = shard.after(timeout);
        let _ = shard.park_unless_unparked(|| shard.park_until(Wait::Unpark, at));
    });
}

/// Lets every other ready fiber run once.
///
/// # Blocking
///
/// A yield point: the fiber goes to the end of the run queue. Returns at once in a fiber that
/// unwinds.
///
/// # Cancellation
///
/// A cancel or a deadline is raised here.
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
        let fiber = shard.current();
        shard.wake(Rc::clone(&fiber));
        let _ = shard.park_fiber(&fiber, Wait::Turn, || false);
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

impl Shard {
    /// Suspends the running fiber until it is woken. May return early.
    pub(crate) fn park(&self, wait: Wait) -> Result<(), Unwinding> {
        self.park_fiber(&self.current(), wait, || false)
    }

    /// As [`park`](Self::park); `fiber` is the running one. If what it waits for `has_come` by the
    /// time that it runs, it may take it first, though its deadline has passed as well.
    #[inline]
    pub(super) fn park_fiber(
        &self,
        fiber: &FiberCell,
        wait: Wait,
        has_come: impl FnOnce() -> bool,
    ) -> Result<(), Unwinding> {
        self.yield_point(fiber)?;
        if fiber.is_hooked() {
            if let Some(hook) = fiber.take_hook() {
                // The hook may wait for something of its own, and so take the wake-up that this
                // wait is for: return early, and let the caller look again.
                fiber.call_hook(&*hook);
                return self.yield_point(fiber);
            }
            fiber.end_hooks_pause();
        }
        fiber.wait.set(wait);
        fiber.since.set(self.tick.get());
        // SAFETY: `fiber` is the one that the shard resumed, so this code runs on its coroutine.
        unsafe { fiber.switch.suspend(Suspend::Parked) };
        // It waits until this is passed: if it is given up here, it leaves the line it stands in.
        let is_late = fiber.ends_at.get() <= self.tick.get() && !fiber.cancelled.get();
        let may_go_on = if is_late && has_come() { Ok(()) } else { self.yield_point(fiber) };
        fiber.wait.set(Wait::Nothing);
        may_go_on
    }

    /// All that [`park`](Self::park) does before it suspends, so that nothing of it is left to do:
    /// for a fiber that is about to take a place in a line. There it is not given up, and no hook
    /// waits for something else.
    fn before_wait(&self, fiber: &FiberCell) -> Result<(), Unwinding> {
        self.yield_point(fiber)?;
        while let Some(hook) = fiber.take_hook() {
            fiber.call_hook(&*hook);
            self.yield_point(fiber)?;
        }
        Ok(())
    }

    /// As [`park`](Self::park), but only until the next turn if somebody unparked the fiber: even
    /// if another wait took the wake-up, it is not lost.
    fn park_unless_unparked(
        &self,
        park: impl FnOnce() -> Result<(), Unwinding>,
    ) -> Result<(), Unwinding> {
        let fiber = self.current();
        if fiber.unparked.get() {
            self.wake(Rc::clone(&fiber));
        }
        park()?;
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

    /// Every further yield point of the fiber raises.
    pub(crate) fn cancel(&self, fiber: &Rc<FiberCell>) {
        self.note(|| format!("cancels {}", label(fiber)));
        fiber.cancelled.set(true);
        self.wake(Rc::clone(fiber));
    }

    /// Whether the running fiber may wait: not if it unwinds; raises if it has to end.
    #[inline]
    pub(super) fn yield_point(&self, fiber: &FiberCell) -> Result<(), Unwinding> {
        if fiber.unwinds() {
            return Err(Unwinding);
        }
        if fiber.cancelled.get() && fiber.masked.get() == 0 {
            let raises = fiber.raises.get() + 1;
            fiber.raises.set(raises);
            return self.raise(fiber, Reason::Cancelled, raises);
        }
        if fiber.ends_at.get() > self.tick.get() {
            return Ok(());
        }
        self.is_over(fiber)
    }

    /// Raises, unless what the fiber runs under was renewed.
    #[cold]
    fn is_over(&self, fiber: &FiberCell) -> Result<(), Unwinding> {
        let (now, deadline) = (self.tick.get(), fiber.deadline.get());
        if deadline.at <= now {
            let raises = deadline.raises + 1;
            fiber.deadline.set(Deadline { raises, ..deadline });
            return self.raise(fiber, Reason::Expired(deadline.frame), raises);
        }
        let end = fiber.renew_end();
        if end > now {
            self.set_alarm(fiber, end);
            return Ok(());
        }
        let frame = fiber.term.borrow().as_ref().map_or(Frame::ROOT, |term| term.end().1);
        let raises = fiber.term_raises.get() + 1;
        fiber.term_raises.set(raises);
        self.raise(fiber, Reason::Expired(frame), raises)
    }

    /// Raises `reason` for the time of that number, or refuses when it was swallowed too often.
    #[cold]
    fn raise(&self, fiber: &FiberCell, reason: Reason, raises: u16) -> Result<(), Unwinding> {
        // If a timed wait ends by this, its time is no concern of the waits that follow.
        fiber.wake_at.set(Tick::NEVER);
        if raises <= RAISES_MAX {
            // The frames that it may point into are about to go.
            fiber.wait.set(Wait::Nothing);
            self.note(|| match reason {
                Reason::Cancelled => "unwinds: cancelled".to_owned(),
                Reason::Expired(_) => "unwinds: past its deadline".to_owned(),
            });
            fiber.raise(reason);
        }
        if raises <= RAISES_MAX + FAILURES_MAX {
            return Err(Unwinding);
        }
        give_up_running(GivenUp::Swallows)
    }
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

/// How often one cancel, or one deadline, is raised. Two or three levels of `catch_unwind` are
/// plausible in honest code; a loop around one is not.
const RAISES_MAX: u16 = 4;

/// How many calls then fail at once: a loop that ends on an error ends in that time, and one that
/// does not would spin for ever.
const FAILURES_MAX: u16 = 64;
