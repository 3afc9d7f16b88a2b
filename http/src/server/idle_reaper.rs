//! Closes connections that have been idle for too long.
//!
//! An idle connection has no stack and no timer. Instead, one fiber of the shard looks at all
//! connections now and then, and counts these sweeps. A connection records only in which sweep it
//! became idle. A sweep of ten thousand connections takes some hundred microseconds.

use std::time::Duration;

/// The timeouts, counted in sweeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweeps {
    pub(super) interval: Duration,
    /// The timeout of a connection that has sent nothing yet.
    pub(super) new: u32,
    pub(super) idle: u32,
}

impl Sweeps {
    pub(super) fn of(head: Duration, idle: Duration) -> Self {
        let interval = (head.min(idle) / SWEEPS).clamp(INTERVAL_MIN, INTERVAL_MAX);
        // The first sweep may come right after the connection became idle.
        let count = |timeout: Duration| {
            let sweeps = timeout.as_nanos().div_ceil(interval.as_nanos()) + 1;
            // More than four billion sweeps count as no timeout.
            u32::try_from(sweeps).unwrap_or(u32::MAX)
        };
        Self { interval, new: count(head), idle: count(idle) }
    }
}

/// How many sweeps fit into the shorter of the two timeouts.
const SWEEPS: u32 = 16;

/// Only tests have such short timeouts.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Bounds the interval if the timeouts are long: only connections that have been idle for a whole
/// interval can be evicted. Arbitrary: a sweep costs next to nothing.
const INTERVAL_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_expires_early_or_much_too_late() {
        let secs = Duration::from_secs;
        let sweeps = Sweeps::of(secs(16), secs(60));
        assert_eq!(sweeps.interval, secs(1));
        // A connection that became idle right before a sweep has been idle one interval less.
        assert_eq!((sweeps.new, sweeps.idle), (17, 61));
        let sweeps = Sweeps::of(Duration::MAX, secs(32));
        assert_eq!((sweeps.new, sweeps.idle), (u32::MAX, 17));
        let sweeps = Sweeps::of(Duration::MAX, Duration::MAX);
        assert_eq!((sweeps.interval, sweeps.new, sweeps.idle), (INTERVAL_MAX, u32::MAX, u32::MAX));
        let sweeps = Sweeps::of(Duration::ZERO, Duration::ZERO);
        assert_eq!((sweeps.new, sweeps.idle), (1, 1));
    }
}
