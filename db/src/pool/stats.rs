//! What a pool counts: for itself without atomic operations, and for all pools of a configuration.

use std::array;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a pool ([`Pool::stats`](crate::Pool::stats)), or their sums over all pools with
/// the same configuration ([`PoolConfig::stats`](crate::PoolConfig::stats)).
///
/// The first three are what is so now; the others count from the start.
///
/// ```
/// use straightline_db::{PoolConfig, PoolStats};
///
/// assert_eq!(PoolConfig::default().stats(), PoolStats::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that are handed out.
    pub in_use: u64,
    /// Connections that wait for a user.
    pub idle: u64,
    /// Fibers that wait for a connection.
    pub waiting: u64,
    /// Connections that were made.
    pub created: u64,
    /// Connects that failed, or took too long.
    pub connect_failures: u64,
    /// Connections that were closed because the server had closed them, or because their state was
    /// unknown.
    pub broken: u64,
    /// Connections that were closed because they were idle for too long, or too old.
    pub expired: u64,
    /// Connections that were made fit for their next user.
    pub cleaned: u64,
    /// Connections for which that failed; they were closed.
    pub clean_failures: u64,
    /// Connections whose work was stopped, because their fiber unwound in the middle of it. For
    /// PostgreSQL this counts the cancel requests that were sent.
    pub aborts: u64,
    /// Connections for which that failed.
    pub abort_failures: u64,
    /// Fibers that waited for the acquire timeout.
    pub acquire_timeouts: u64,
    /// Fibers that were refused because too many were waiting.
    pub refused: u64,
}

/// One of the counters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    InUse,
    Idle,
    Waiting,
    Created,
    ConnectFailures,
    Broken,
    Expired,
    Cleaned,
    CleanFailures,
    Aborts,
    AbortFailures,
    AcquireTimeouts,
    Refused,
}

const COUNTS: usize = Count::Refused as usize + 1;

/// The sums over several pools.
#[derive(Debug, Default)]
pub(super) struct Totals([AtomicU64; COUNTS]);

/// The counters of one pool. Each change goes to the sums too.
pub(super) struct Counters {
    own: [Cell<u64>; COUNTS],
    totals: Arc<Totals>,
}

impl Totals {
    pub(super) fn stats(&self) -> PoolStats {
        stats(|count| self.0[count as usize].load(Ordering::Relaxed))
    }
}

impl Counters {
    pub(super) fn new(totals: Arc<Totals>) -> Self {
        Self { own: array::from_fn(|_| Cell::new(0)), totals }
    }

    pub(super) fn add(&self, count: Count) {
        let own = &self.own[count as usize];
        own.set(own.get() + 1);
        self.totals.0[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, count: Count) {
        let own = &self.own[count as usize];
        debug_assert!(own.get() > 0, "{count:?} below zero");
        own.set(own.get() - 1);
        self.totals.0[count as usize].fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> PoolStats {
        stats(|count| self.own[count as usize].get())
    }
}

fn stats(value: impl Fn(Count) -> u64) -> PoolStats {
    PoolStats {
        in_use: value(Count::InUse),
        idle: value(Count::Idle),
        waiting: value(Count::Waiting),
        created: value(Count::Created),
        connect_failures: value(Count::ConnectFailures),
        broken: value(Count::Broken),
        expired: value(Count::Expired),
        cleaned: value(Count::Cleaned),
        clean_failures: value(Count::CleanFailures),
        aborts: value(Count::Aborts),
        abort_failures: value(Count::AbortFailures),
        acquire_timeouts: value(Count::AcquireTimeouts),
        refused: value(Count::Refused),
    }
}
