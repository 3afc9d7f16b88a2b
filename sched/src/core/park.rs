//! Giving the thread back.
//!
//! Every blocking call ends in [`park_fiber`]. Its contract is std's: it may return early, so a
//! fiber that waits for something looks again in a loop. Before it parks and after, the fiber
//! passes a `yield_point`.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::before_park::park_hooks_of;
use super::local;
use super::shard::Shard;
use super::timer::set_timer;
use super::yield_point::{Unwinding, yield_point};
use crate::fiber::{FiberCell, ParkHooks, Suspend, Tick, Wait, with_running};

/// Waits until [`Fiber::unpark`](crate::Fiber::unpark) is called on the calling fiber, or was since
/// its last park.
///
/// As with [`std::thread::park`] it may also return for no reason: call it in a loop that checks
/// the condition.
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
/// });
/// ```
#[track_caller]
pub fn park() {
    local::with(|shard| {
        // An unwinding fiber does not wait, which the contract allows.
        let _ = park_unless_unparked(shard, || park_for(shard, Wait::Unpark));
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
/// });
/// ```
#[track_caller]
pub fn park_timeout(timeout: Duration) {
    local::with(|shard| {
        let at = shard.after(timeout);
        let _ = park_unless_unparked(shard, || park_until(shard, Wait::Unpark, at));
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
/// });
/// ```
#[track_caller]
pub fn yield_now() {
    local::with(|shard| shard.with_current(|fiber| give_turn(shard, fiber)));
}

/// Lets the other ready fibers run. The hooks are called before the fiber stands in the run queue:
/// if a hook ended the wait early, a fiber that sets a hook again and again would never yield.
///
/// `fiber` is the running one.
pub(super) fn give_turn(shard: &Shard, fiber: &FiberCell) {
    if before_wait(shard, fiber).is_ok() {
        shard.wake(shard.current());
        if let Some(hooks) = park_hooks_of(fiber) {
            hooks.end_pause();
        }
        // It returns an error in a fiber that swallowed its unwinds: the fiber has waited all the
        // same.
        let _ = suspend(shard, fiber, Wait::Turn, || false);
    }
}

/// Suspends the calling fiber until it is woken; `None` outside of fibers.
pub(crate) fn try_park(wait: Wait) -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|_| park_for(shard, wait))).flatten()
}

/// As [`try_park`], but at most until `at`.
pub(crate) fn try_park_until(at: Instant, wait: Wait) -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|_| park_until(shard, wait, shard.tick_of(at))))
        .flatten()
}

/// Does what a park would do first: refuses while the calling fiber unwinds, raises if it is to
/// end, and calls the hooks of `before_park`. `None` outside of fibers.
pub(crate) fn try_before_wait() -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| shard.try_current().map(|fiber| before_wait(shard, &fiber))).flatten()
}

/// Whether the calling fiber has hooks to call before it waits, see [`try_before_wait`].
pub(crate) fn has_hook() -> bool {
    with_running(|fiber| park_hooks_of(fiber).is_some_and(ParkHooks::is_due)) == Some(true)
}

/// Suspends the running fiber until it is woken. May return early.
pub(crate) fn park_for(shard: &Shard, wait: Wait) -> Result<(), Unwinding> {
    shard.with_current(|fiber| park_fiber(shard, fiber, wait, || false))
}

/// As [`park_for`], but at most until `at`.
pub(crate) fn park_until(shard: &Shard, wait: Wait, at: Tick) -> Result<(), Unwinding> {
    shard.with_current(|fiber| {
        fiber.bounds.set_wake_at(at);
        let parked = park_fiber(shard, fiber, wait, || false);
        fiber.bounds.clear_wake_at();
        parked
    })
}

/// As [`park_until`], or without a limit; `has_come` as in [`park_fiber`].
pub(super) fn park_at_most(
    shard: &Shard,
    wait: Wait,
    at: Option<Instant>,
    has_come: impl FnOnce() -> bool,
) -> Result<(), Unwinding> {
    let fiber = shard.current();
    let Some(at) = at else { return park_fiber(shard, &fiber, wait, has_come) };
    let at = shard.tick_of(at);
    fiber.bounds.set_wake_at(at);
    let parked = park_fiber(shard, &fiber, wait, has_come);
    fiber.bounds.clear_wake_at();
    parked
}

/// As [`park_for`]; `fiber` is the running one. If `has_come` is true when the fiber runs again,
/// the call returns although its deadline may have passed as well, so that the fiber can take what
/// it waited for.
#[inline]
pub(super) fn park_fiber(
    shard: &Shard,
    fiber: &FiberCell,
    wait: Wait,
    has_come: impl FnOnce() -> bool,
) -> Result<(), Unwinding> {
    yield_point(shard, fiber)?;
    if let Some(hooks) = park_hooks_of(fiber) {
        if let Some(hook) = hooks.take_due() {
            // The hook may wait for something of its own, and so consume the wake-up of this wait:
            // return early, and let the caller look again.
            hooks.call(&*hook);
            return yield_point(shard, fiber);
        }
        hooks.end_pause();
    }
    suspend(shard, fiber, wait, has_come)
}

/// The second half of [`park_fiber`]: nothing ends the wait before it begins.
#[inline]
fn suspend(
    shard: &Shard,
    fiber: &FiberCell,
    wait: Wait,
    has_come: impl FnOnce() -> bool,
) -> Result<(), Unwinding> {
    // A fiber in the run queue needs no timer.
    if !matches!(wait, Wait::Turn) {
        set_timer(shard, fiber, fiber.bounds.ends_or_wakes_at());
    }
    fiber.waiting.begin(wait, shard.clock.turn());
    // SAFETY: `fiber` is the one that the shard resumed, so this code runs on its coroutine.
    unsafe { fiber.switch.suspend(Suspend::Parked) };
    // The wait stands until the fiber passes this line: if it is abandoned here, it leaves its
    // queue.
    let is_late = fiber.bounds.may_be_over(shard.clock.turn()) && !fiber.bounds.is_cancelled();
    let may_go_on = if is_late && has_come() { Ok(()) } else { yield_point(shard, fiber) };
    fiber.waiting.end();
    may_go_on
}

/// Does everything that [`park_for`] does before it suspends, for a fiber that is about to join a
/// wait queue: so in the queue it is not abandoned, and no hook waits for something else.
fn before_wait(shard: &Shard, fiber: &FiberCell) -> Result<(), Unwinding> {
    yield_point(shard, fiber)?;
    if let Some(hooks) = park_hooks_of(fiber) {
        while let Some(hook) = hooks.take_due() {
            hooks.call(&*hook);
            yield_point(shard, fiber)?;
        }
    }
    Ok(())
}

/// As [`park_for`], but only until the next turn if the fiber was unparked: the unpark is not lost
/// even if another wait consumed the wake-up.
fn park_unless_unparked(
    shard: &Shard,
    park: impl FnOnce() -> Result<(), Unwinding>,
) -> Result<(), Unwinding> {
    let fiber = shard.current();
    if fiber.unparked.get() {
        shard.wake(Rc::clone(&fiber));
    }
    park()?;
    fiber.unparked.set(false);
    Ok(())
}
