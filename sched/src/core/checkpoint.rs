//! The fairness budget: a fiber that never has to wait lets the others run now and then.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::local;
use super::park::Unwinding;
use super::shard::Shard;
use crate::fiber::Wait;

/// As [`checkpoint`], and always a yield point as [`try_yield_point`] is; `None` where no fiber
/// runs.
pub(crate) fn try_checkpoint() -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| {
        let fiber = shard.try_current()?;
        shard.charge();
        Some(shard.yield_point(&fiber))
    })
    .flatten()
}

/// The [`checkpoint`] of an operation that may succeed without waiting, to be called before it
/// takes anything. It raises only where that yields; it does nothing where no fiber runs, and
/// yields in none that unwinds.
#[inline]
pub(crate) fn charge() {
    local::try_with(Shard::charge);
}

/// For loops that compute for long: yields if the fiber has had the thread for its share.
///
/// That is after 128 calls, or when the turn has lasted for a millisecond, which is looked at every
/// 16 calls. A call that does not yield takes 2 ns. Sockets, channels, locks and the rest of
/// [`sync`](crate::sync) call it too, for each operation that may wait, so that a peer that always
/// has something ready cannot keep the thread.
///
/// # Blocking
///
/// A yield point when the share is spent, and only then. Returns at once in a fiber that unwinds,
/// and where no fiber runs: there are no others to let in.
///
/// # Cancellation
///
/// A cancel or a deadline is raised when it yields.
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
    charge();
}

/// The [`checkpoint`] of a future: where that would yield, this is `Pending`, and the task wakes
/// itself. A poll must not wait on its own: others may need what its caller holds.
///
/// Not a yield point.
///
/// ```
/// use std::future::poll_fn;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     sched::block_on(async {
///         for _ in 0..1_000 {
///             poll_fn(sched::poll_checkpoint).await; // other fibers run in between
///         }
///     })
/// })?.unwrap();
/// # std::io::Result::Ok(())
/// ```
pub fn poll_checkpoint(cx: &mut Context<'_>) -> Poll<()> {
    if local::try_with(Shard::is_share_spent) == Some(true) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

impl Shard {
    #[inline]
    fn charge(&self) {
        if self.is_share_spent() {
            self.give_way();
        }
    }

    #[cold]
    fn give_way(&self) {
        if let Some(fiber) = self.try_current()
            && !fiber.unwinds()
        {
            self.wake(Rc::clone(&fiber));
            // It is an error in a fiber that swallowed its unwinds: it goes on without waiting.
            let _ = self.park_fiber(&fiber, Wait::Turn, || false);
        }
    }

    /// Counts one operation, and returns whether the fiber has had the thread for its share.
    #[inline]
    fn is_share_spent(&self) -> bool {
        let left = self.budget.get();
        let spent = left == 0
            || left % CLOCK_EVERY == 1
                && self.clock().saturating_since(self.tick.get()) > SLICE_MAX;
        if spent {
            // The turn's clock is what a deadline is compared with.
            self.tick.set(self.clock());
        } else {
            self.budget.set(left - 1);
        }
        spent
    }
}

/// How many operations may succeed in a row before the fiber yields. Arbitrary: at about 1 µs an
/// operation it keeps the others waiting for a tenth of a millisecond.
pub(crate) const BUDGET: u32 = 128;

/// Every so many operations without a wait the clock is looked at.
const CLOCK_EVERY: u32 = 16;

/// How long a turn may last before a fiber that calls `checkpoint` lets the others in. Arbitrary:
/// below what a client notices, far above the 30 ns of a look at the clock.
const SLICE_MAX: Duration = Duration::from_millis(1);
