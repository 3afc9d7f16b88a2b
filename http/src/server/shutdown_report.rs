//! The report of a server's shutdown.

use std::fmt;
use std::time::Duration;

use straightline_sched::now;

use crate::control::Shared;

/// The report of a server's shutdown. It counts the server that was run, and not the servers that
/// use its shards ([`Server::also`](crate::Server::also)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were idle, and were closed at once.
    pub idle: u64,
    /// Connections that were active, and finished within the drain timeout.
    pub finished: u64,
    /// Connections that were force-closed at the end of the drain timeout, and upgraded connections
    /// that were silent during the drain: their handlers unwound.
    pub cancelled: u64,
    /// [Background fibers](crate::ServerHandle::spawn) that ran when the drain began, and ended
    /// within the drain timeout.
    pub background_finished: u64,
    /// Background fibers that were cancelled at the end of the drain timeout.
    pub background_cancelled: u64,
    /// Fibers that did not end when they were cancelled, and were abandoned.
    pub abandoned: u64,
    /// Shards whose thread did not return to its scheduler. These threads end with the process.
    pub stuck: u64,
    /// From the first call of [`ServerHandle::shutdown`](crate::ServerHandle::shutdown) to the end.
    pub took: Duration,
}

impl ShutdownReport {
    /// The report of a server that has ended, except for `stuck` shards.
    pub(super) fn of(shared: &Shared, stuck: u64) -> Self {
        let since = shared.shutdown_since().unwrap_or_else(now);
        let counters = shared.shards.counters();
        Self {
            idle: counters.closed_idle,
            finished: counters.drained,
            // Not those of shards that were renewed before.
            cancelled: counters.force_closed.saturating_sub(shared.renewals.force_closed()),
            background_finished: counters.background_drained,
            background_cancelled: counters.background_cancelled,
            abandoned: shared.abandoned(),
            stuck,
            took: now().saturating_duration_since(since),
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { idle, finished, cancelled, abandoned, stuck, took, .. } = self;
        let Self { background_finished, background_cancelled, .. } = self;
        write!(
            f,
            "stopped after {:.1} s: {idle} idle connections closed, {finished} finished, \
             {cancelled} cancelled, {background_finished} background fibers finished, \
             {background_cancelled} cancelled, {abandoned} fibers abandoned, {stuck} threads stuck",
            took.as_secs_f64()
        )
    }
}
