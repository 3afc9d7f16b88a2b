//! The time, and random numbers, which a fiber gets from its driver's world.
//!
//! In a simulation the world makes both.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime};

use super::local;
use super::shard::Shard;
use crate::driver::World;
use crate::fiber::Tick;

/// The shard's clock: read once a turn, so it may lag behind by the turn's length.
///
/// Good for time stamps and frequent checks; [`now`] is exact.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| assert!(sched::turn_start() <= std::time::Instant::now()));
/// ```
#[track_caller]
pub fn turn_start() -> Instant {
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
///     let start = sched::now();
///     sched::sleep(Duration::from_secs(3_600));
///     assert!(sched::now() - start >= Duration::from_secs(3_600)); // which took no time
/// });
/// ```
pub fn now() -> Instant {
    local::try_with(|shard| shard.instant_of(shard.clock())).unwrap_or_else(|| {
        // Outside of fibers: on another thread, or in an event of the simulation.
        World::current().map_or_else(Instant::now, |world| world.instant())
    })
}

/// A point in time by the clock of the thread's shard, as one number. For the server's own times:
/// to make an [`Instant`] and to compare two of them costs 20 to 40 instructions each.
///
/// Times of two shards cannot be compared.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardTime(Tick);

impl ShardTime {
    /// As [`turn_start`].
    #[inline]
    #[track_caller]
    pub fn of_turn() -> Self {
        local::with(|shard| Self(shard.clock.turn()))
    }

    /// As [`now`]; outside of shards always the same.
    #[inline]
    pub fn now() -> Self {
        Self(local::try_with(Shard::clock).unwrap_or(Tick::from_nanos(0)))
    }

    /// The nanoseconds from `earlier` on; 0 if that is later.
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.nanos().saturating_sub(earlier.0.nanos())
    }
}

impl Add<Duration> for ShardTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
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

/// 2030-01-01T00:00:00Z. Arbitrary: a round date. The guide to TLS
/// says it, because the certificates of a test must be valid then.
const SIMULATED_START: Duration = Duration::from_secs(1_893_456_000);
