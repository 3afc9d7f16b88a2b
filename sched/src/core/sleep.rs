//! Waiting for a point in time.

use std::time::Duration;

use super::local;
use super::park::park_until;
use crate::fiber::Wait;

/// Waits for at least `duration`; other fibers run meanwhile.
///
/// # Blocking
///
/// A yield point. Returns at once in a fiber that unwinds.
///
/// # Cancellation
///
/// A cancel or a deadline ends the sleep by unwinding, also if the sleep is over too when the fiber
/// gets its turn.
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
///     sched::sleep(Duration::from_millis(2));
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    local::with(|shard| {
        let at = shard.after(duration);
        // At least once, so that a sleep of zero is a yield point too.
        loop {
            if park_until(shard, Wait::Time, at).is_err() || shard.clock.turn() >= at {
                return;
            }
        }
    });
}
