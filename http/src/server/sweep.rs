//! Connections that have rested for too long.
//!
//! They hold no stack and have no alarm. Instead one fiber of the shard looks at all of them now
//! and then, and counts its sweeps; a connection notes in which of them its rest began, and nothing
//! else. A sweep of ten thousand connections takes some hundred microseconds.

use std::time::Duration;

/// How many sweeps each timeout is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweeps {
    pub(super) interval: Duration,
    /// Of a connection that has sent nothing yet.
    pub(super) new: u32,
    pub(super) idle: u32,
}

impl Sweeps {
    pub(super) fn of(head: Duration, idle: Duration) -> Self {
        let interval = (head.min(idle) / SWEEPS).clamp(INTERVAL_MIN, INTERVAL_MAX);
        // The first of them may come at once.
        let count = |timeout: Duration| {
            let sweeps = timeout.as_nanos().div_ceil(interval.as_nanos()) + 1;
            // More than four billion are as good as for ever.
            u32::try_from(sweeps).unwrap_or(u32::MAX)
        };
        Self { interval, new: count(head), idle: count(idle) }
    }
}

/// What part of the shortest timeout another sweep comes after.
const SWEEPS: u32 = 16;

/// For timeouts that only tests have.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// So that it is known who rests for how long where nobody rests for too long: whoever has rested
/// for an interval may have to make room. Arbitrary: a sweep costs next to nothing.
const INTERVAL_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_expired_early_and_nobody_much_too_late() {
        let secs = Duration::from_secs;
        let sweeps = Sweeps::of(secs(16), secs(60));
        assert_eq!(sweeps.interval, secs(1));
        // A rest that begins right before a sweep has lasted one interval less than they count.
        assert_eq!((sweeps.new, sweeps.idle), (17, 61));
        let sweeps = Sweeps::of(Duration::MAX, secs(32));
        assert_eq!((sweeps.new, sweeps.idle), (u32::MAX, 17));
        let sweeps = Sweeps::of(Duration::MAX, Duration::MAX);
        assert_eq!((sweeps.interval, sweeps.new, sweeps.idle), (INTERVAL_MAX, u32::MAX, u32::MAX));
        let sweeps = Sweeps::of(Duration::ZERO, Duration::ZERO);
        assert_eq!((sweeps.new, sweeps.idle), (1, 1));
    }
}
