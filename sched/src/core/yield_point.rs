//! The yield point, where a fiber that is to end unwinds.
//!
//! The rules of unwinding are kept here:
//! - a fiber that is cancelled, or past its deadline, raises, before it parks and after;
//! - a fiber that unwinds neither parks nor raises: the call returns at once (std counts panics per
//!   thread, so another fiber that ran meanwhile would believe that it panicked itself);
//! - a fiber that swallows its unwinds gets them again; after [`RAISES_MAX`] of them its calls fail
//!   at once without parking, and after [`FAILURES_MAX`] such failures it is abandoned.
//!
//! Whether a fiber unwinds is [`FiberCell::unwinds`].

use std::fmt;
use std::io;

use super::local;
use super::shard::Shard;
use crate::fiber::unwind::Reason;
use crate::fiber::{Abandoned, FiberCell, Looked, abandon_running, with_running};

/// The calling fiber may not wait, because it is unwinding: it panicked, was cancelled or passed
/// its deadline, and a destructor has made a blocking call.
///
/// Code outside of destructors never gets it, unless it catches an unwind and goes on.
///
/// ```
/// use straightline_sched::{self as sched, Unwinding, sync::Flag};
///
/// struct Polite(Flag);
///
/// impl Drop for Polite {
///     fn drop(&mut self) {
///         assert_eq!(self.0.wait(), Err(Unwinding)); // at once, instead of waiting
///     }
/// }
///
/// sched::run(|| {
///     let fiber = sched::spawn(|| {
///         let _polite = Polite(Flag::new());
///         sched::park();
///     });
///     sched::yield_now();
///     fiber.cancel();
///     assert!(fiber.join().unwrap_err().is_cancelled());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwinding;

/// Whether the running fiber may wait: not if it unwinds. Raises if it is to end.
#[inline]
pub(super) fn yield_point(shard: &Shard, fiber: &FiberCell) -> Result<(), Unwinding> {
    if fiber.unwinds() {
        return Err(Unwinding);
    }
    if fiber.bounds.is_cancel_due() {
        let raises = fiber.bounds.record_cancel_raised();
        return raise(shard, fiber, Reason::Cancelled, raises);
    }
    if !fiber.bounds.may_be_over(shard.clock.turn()) {
        return Ok(());
    }
    is_over(shard, fiber)
}

/// Raises, unless the fiber's lease was renewed.
#[cold]
fn is_over(shard: &Shard, fiber: &FiberCell) -> Result<(), Unwinding> {
    match fiber.bounds.look(shard.clock.turn()) {
        Looked::Renewed => Ok(()),
        Looked::Over(reason, raises) => raise(shard, fiber, reason, raises),
    }
}

/// Raises `reason` for the time with that number, or refuses when it was swallowed too often.
#[cold]
fn raise(shard: &Shard, fiber: &FiberCell, reason: Reason, raises: u16) -> Result<(), Unwinding> {
    // If this ends a timed wait, the time of that wait does not matter for later waits.
    fiber.bounds.clear_wake_at();
    if raises <= RAISES_MAX {
        // It may point into frames that are about to unwind.
        fiber.waiting.end();
        shard.note(|| match reason {
            Reason::Cancelled => "unwinds: cancelled".to_owned(),
            Reason::Expired(_) => "unwinds: past its deadline".to_owned(),
        });
        fiber.raise(reason);
    }
    if raises <= RAISES_MAX + FAILURES_MAX {
        return Err(Unwinding);
    }
    abandon_running(Abandoned::Swallows)
}

/// Whether the calling fiber's next yield point raises.
pub(crate) fn is_to_end() -> bool {
    local::try_with(|shard| {
        with_running(|fiber| fiber.bounds.is_due(shard.clock.turn())) == Some(true)
    })
    .unwrap_or(false)
}

/// Whether the calling fiber unwinds, or outside of fibers the thread: it may not wait then.
pub(crate) fn is_unwinding() -> bool {
    with_running(FiberCell::unwinds).unwrap_or_else(std::thread::panicking)
}

/// Outside of fibers: whether the thread may wait instead. Not while it unwinds, and not if it has
/// a shard, as all fibers of the shard would wait with it.
pub(crate) fn may_block_thread() -> bool {
    !std::thread::panicking() && !local::is_on_a_shard()
}

impl From<Unwinding> for io::Error {
    fn from(_: Unwinding) -> Self {
        Self::other(Unwinding)
    }
}

impl fmt::Display for Unwinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the fiber is unwinding and may not wait: a destructor made the call, or code that has \
             caught the unwind",
        )
    }
}

impl std::error::Error for Unwinding {}

/// How often one cancel, or one deadline, is raised. Two or three levels of `catch_unwind` are
/// plausible in honest code; a loop around one is not.
const RAISES_MAX: u16 = 4;

/// How many calls then fail at once: a loop that ends on an error ends in that time, and a loop
/// that does not would spin for ever.
const FAILURES_MAX: u16 = 64;
