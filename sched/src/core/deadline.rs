//! Deadlines: how long a piece of work may take, waits included.
//!
//! A fiber carries one deadline: the nearest of those that enclose the running code, and the call
//! that set it. [`deadline`] puts its own there if it comes first and the former one back when its
//! body is done, so nothing is searched when a yield point asks. The unwind that a passed deadline
//! raises carries the call that is to catch it; those in between pass it on.
//!
//! Here only the record of the fiber changes. The fiber's timer is set when the fiber next waits:
//! most bodies are done without a wait. Code behind a body is behind other people's code, which a
//! coroutine of another library may have carried to another fiber, or beyond the end of the shard;
//! so no reference to a shard is held over a body.
//!
//! [`uncancellable`] removes the fiber's deadline and masks cancels while its body runs. A deadline
//! that is set inside of the body applies.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::local;
use super::shard::Shard;
use crate::fiber::unwind::{self, Payload, Reason};
use crate::fiber::{Deadline, FiberCell, Frame, Outer};

/// The work was not done in time, and has unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

/// Runs `body`, which has `duration` to finish.
///
/// When the time is over, `body` unwinds at its next yield point: a wait ends at once, the
/// destructors run, and `deadline` returns the error. If `body` returns, however late, it has done
/// its work, and its value is returned.
///
/// A read still takes data that has come by the time that the fiber runs again, however late that
/// is: a peer that has sent in time is not late because this thread was busy.
///
/// Put it around a whole unit of work, after whose end nothing of the work is used any more. If the
/// unwind goes through a parser that is used afterwards, bytes that the parser had read are lost:
/// for a read inside of foreign code set a timeout of the stream, which is an error.
///
/// Deadlines nest, and the nearest one counts: an inner call cannot extend an outer one. Children
/// of a [`scope`](crate::scope) inherit it; fibers of [`spawn`](crate::spawn) do not.
///
/// # Blocking
///
/// Not a yield point itself.
///
/// # Cancellation
///
/// A cancel of the fiber, or the end of an outer deadline, passes through.
///
/// # Errors
///
/// [`DeadlineExceeded`] when `body` was unwound because this deadline had passed.
///
/// # Panics
///
/// When `body` does, and outside of a fiber.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let slow = sched::deadline(Duration::from_millis(5), || {
///         sched::sleep(Duration::from_secs(3_600));
///         "never"
///     });
///     assert_eq!(slow, Err(sched::DeadlineExceeded));
///     assert_eq!(sched::deadline(Duration::from_secs(10), || "in time"), Ok("in time"));
/// });
/// ```
#[track_caller]
pub fn deadline<T>(duration: Duration, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
    let (fiber, outer, frame) = local::with(|shard| {
        let (fiber, outer) = (shard.current(), shard.current().bounds.deadline());
        // Read anew: the turn's reading may be older than the work that this fiber did before.
        let at = shard.after(duration);
        let frame = outer.is_after(at).then(|| shard.frames.next());
        if let Some(frame) = frame {
            fiber.bounds.set_deadline(Deadline::new(at, frame));
        }
        (fiber, outer, frame)
    });
    let Some(frame) = frame else { return Ok(body()) };
    let outcome = catch_unwind(AssertUnwindSafe(body));
    fiber.bounds.set_deadline(outer);
    settle(outcome, frame).unwrap_or_else(|payload| resume_unwind(payload))
}

/// Turns an unwind that names this call's frame into the error. The caller lets other unwinds go
/// on.
#[allow(clippy::inline_always)] // 26 instructions for each deadline, measured
#[inline(always)]
pub(super) fn settle<T>(
    outcome: thread::Result<T>,
    frame: Frame,
) -> thread::Result<Result<T, DeadlineExceeded>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(payload) => settle_unwound(payload, frame).map(Err),
    }
}

#[cold]
fn settle_unwound(payload: Payload, frame: Frame) -> thread::Result<DeadlineExceeded> {
    if unwind::reason(&*payload) != Some(Reason::Expired(frame)) {
        return Err(payload);
    }
    local::try_with(|shard| shard.counters.deadlines_exceeded.add(1));
    Ok(DeadlineExceeded)
}

/// How much time the nearest deadline leaves; zero when it has passed, `None` without one.
///
/// For what wants a timeout of its own, such as an outgoing request. Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     assert_eq!(sched::remaining(), None);
///     sched::deadline(Duration::from_secs(5), || {
///         assert!(sched::remaining().unwrap() <= Duration::from_secs(5));
///     })
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn remaining() -> Option<Duration> {
    local::with(|shard| {
        let at = shard.current().bounds.renew_end().ever()?;
        Some(at.saturating_since(shard.clock()))
    })
}

/// Runs `body` without being cancelled and without the deadlines around it: for a section that must
/// be completed once it has begun, such as a commit.
///
/// Deadlines that `body` sets apply as usual. Set one for its waits, because the end of a shard
/// also waits for the section (for ten seconds, then the fiber is [given
/// up](crate::JoinError::is_abandoned)).
///
/// # Blocking
///
/// Not a yield point itself.
///
/// # Cancellation
///
/// A cancel that comes meanwhile, or an outer deadline that passes, is raised at the first yield
/// point after the section. It is not raised at the end of the section: the value of `body` is
/// never lost, and the caller can record it before its next wait.
///
/// # Panics
///
/// When `body` does, and outside of a fiber.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let fiber = sched::spawn(|| {
///         sched::uncancellable(|| {
///             sched::sleep(Duration::from_millis(2)); // a commit under way
///             "committed"
///         })
///     });
///     sched::yield_now();
///     fiber.cancel();
///     assert_eq!(fiber.join().unwrap(), "committed");
/// });
/// ```
#[track_caller]
pub fn uncancellable<T>(body: impl FnOnce() -> T) -> T {
    let _masked = Masked::enter(local::with(Shard::current));
    body()
}

/// Shelters a fiber from cancels and outer deadlines until it is dropped.
struct Masked {
    fiber: Rc<FiberCell>,
    /// The former bounds, until they are restored.
    outer: Option<Outer>,
}

impl Masked {
    fn enter(fiber: Rc<FiberCell>) -> Self {
        let outer = Some(fiber.bounds.mask());
        Self { fiber, outer }
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            self.fiber.bounds.unmask(outer);
        }
        self.fiber.bounds.renew_end();
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed before the work was done; the work has unwound")
    }
}

impl std::error::Error for DeadlineExceeded {}

impl From<DeadlineExceeded> for io::Error {
    fn from(error: DeadlineExceeded) -> Self {
        Self::new(io::ErrorKind::TimedOut, error)
    }
}
