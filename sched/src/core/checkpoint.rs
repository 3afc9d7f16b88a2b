//! The fairness budget: a fiber that never has to wait lets other fibers run now and then.

use std::task::{Context, Poll};
use std::time::Duration;

use super::local;
use super::park::give_turn;
use super::shard::Shard;
use super::yield_point::{Unwinding, yield_point};

/// As [`checkpoint`], and always a yield point, as [`try_yield_point`] is; `None` outside of
/// fibers.
pub(crate) fn try_checkpoint() -> Option<Result<(), Unwinding>> {
    local::try_with(|shard| {
        let fiber = shard.try_current()?;
        charge_on(shard);
        Some(yield_point(shard, &fiber))
    })
    .flatten()
}

/// The [`checkpoint`] of an operation that may succeed without waiting; the operation calls it
/// before it takes anything. It raises only where it yields. It does nothing outside of fibers, and
/// does not yield in a fiber that unwinds.
#[inline]
pub(crate) fn charge() {
    local::try_with(charge_on);
}

/// For loops that compute for long: yields if the fiber has used up its share of the thread.
///
/// The share is 128 calls, or a turn of one millisecond, which is checked every 16 calls. A call
/// that does not yield takes 2 ns. Sockets, channels, locks and the rest of [`sync`](crate::sync)
/// call it too, for each operation that may wait, so that a peer that is always ready cannot keep
/// the thread.
///
/// # Blocking
///
/// A yield point when the share is used up, and only then. Returns at once in a fiber that unwinds,
/// and outside of fibers, where no other fiber waits for the thread.
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
/// });
/// ```
pub fn checkpoint() {
    charge();
}

/// The [`checkpoint`] of a future: where `checkpoint` would yield, this is `Pending`, and the task
/// wakes itself. A poll must not wait on its own: other fibers may need a lock that its caller
/// holds.
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
/// }).unwrap();
/// ```
pub fn poll_checkpoint(cx: &mut Context<'_>) -> Poll<()> {
    if local::try_with(is_share_spent) == Some(true) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

#[inline]
fn charge_on(shard: &Shard) {
    if is_share_spent(shard) {
        give_way(shard);
    }
}

#[cold]
fn give_way(shard: &Shard) {
    if let Some(fiber) = shard.try_current()
        && !fiber.unwinds()
    {
        give_turn(shard, &fiber);
    }
}

/// Counts one operation; returns whether the fiber has used up its share of the thread.
#[inline]
fn is_share_spent(shard: &Shard) -> bool {
    let spent = shard
        .fairness
        .is_share_spent(|| shard.clock().saturating_since(shard.clock.turn()) > SLICE_MAX);
    if spent {
        renew_turn_clock(shard);
    }
    spent
}

/// A deadline is compared with the turn's clock.
#[cold]
fn renew_turn_clock(shard: &Shard) {
    shard.clock.set_turn(shard.clock());
}

/// How long a turn may last before a fiber that calls `checkpoint` lets other fibers run.
/// Arbitrary: shorter than a client notices, far longer than the 30 ns of a look at the clock.
const SLICE_MAX: Duration = Duration::from_millis(1);
