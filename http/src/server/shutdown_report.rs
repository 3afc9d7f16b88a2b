//! What the end of a server came to.

use std::fmt;
use std::time::Duration;

use straightline_sched::clock;

use crate::control::Shared;

/// What a server's end came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were at rest, and were closed at once.
    pub idle: u64,
    /// Connections that were at work, and ended within the drain timeout.
    pub finished: u64,
    /// Connections that were cut after it, and upgraded ones of which nothing came or left
    /// meanwhile: their handlers were ended by unwinding.
    pub cancelled: u64,
    /// Fibers that did not react to that, and were given up.
    pub given_up: u64,
    /// Shards whose thread did not come back; it ends with the process.
    pub stuck: u64,
    /// From the first call of [`ServerHandle::shutdown`](crate::ServerHandle::shutdown) to the end.
    pub took: Duration,
}

impl ShutdownReport {
    /// Of a server that is over but for so many shards, whose threads do not come back.
    pub(super) fn of(shared: &Shared, stuck: u64) -> Self {
        let since = shared.shutdown_since().unwrap_or_else(clock);
        let counters = shared.shards.counters();
        Self {
            idle: counters.closed_at_rest,
            finished: counters.drained,
            cancelled: counters.cut,
            given_up: shared.given_up(),
            stuck,
            took: clock().saturating_duration_since(since),
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { idle, finished, cancelled, given_up, stuck, took } = self;
        write!(
            f,
            "stopped after {:.1} s: {idle} idle connections closed, {finished} finished, \
             {cancelled} cancelled, {given_up} fibers given up, {stuck} threads stuck",
            took.as_secs_f64()
        )
    }
}
