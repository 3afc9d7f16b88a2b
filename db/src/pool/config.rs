//! The settings of a pool, with the reasons for their defaults.

use std::sync::Arc;
use std::time::Duration;

use super::stats::{PoolStats, Totals};

/// The settings of a [`Pool`](crate::Pool). Clones share their counters: give each shard a clone,
/// and [`stats`](Self::stats) has the sums over all shards.
///
/// ```
/// use std::time::Duration;
/// use straightline_db::PoolConfig;
///
/// let config = PoolConfig::default()
///     .connections_max(4)
///     .acquire_timeout(Duration::from_millis(500))
///     .idle_timeout(None);
/// assert_eq!(config.stats().in_use, 0); // of all pools that are made with it
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PoolConfig {
    pub(super) connections_max: usize,
    pub(super) waiting_max: usize,
    pub(super) acquire_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) care_timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) lifetime_max: Option<Duration>,
    pub(super) totals: Arc<Totals>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            waiting_max: WAITING_MAX,
            acquire_timeout: ACQUIRE_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            care_timeout: CARE_TIMEOUT,
            idle_timeout: Some(IDLE_TIMEOUT),
            lifetime_max: Some(LIFETIME_MAX),
            totals: Arc::default(),
        }
    }
}

impl PoolConfig {
    /// How many connections one pool, that is one shard, has at most; those that are being made or
    /// repaired count. Default: 8. A PostgreSQL server accepts 100 connections by default, so
    /// that twelve shards share one.
    ///
    /// # Panics
    ///
    /// If it is 0: a pool without connections would never answer.
    #[track_caller]
    pub fn connections_max(mut self, connections: usize) -> Self {
        assert!(connections > 0, "straightline: a pool has one connection at least");
        self.connections_max = connections;
        self
    }

    /// How many fibers of a shard wait for a connection at most. A fiber beyond them gets
    /// [`Error::TooManyWaiting`](crate::Error::TooManyWaiting) at once. Default: 1000; a server
    /// bounds its requests before that, and a fiber that waits costs some kilobytes.
    pub fn waiting_max(mut self, fibers: usize) -> Self {
        self.waiting_max = fibers;
        self
    }

    /// How long a fiber waits for a connection at most. The fiber's deadline bounds the wait as
    /// well. Default: 5 s, which is longer than a client likes to wait.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How long a connection may take to be made, names and TLS included. Default: 5 s; a packet
    /// that is lost is sent again after one second and after three.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the pool tries to clean a connection, or to stop what it does, before it closes
    /// the connection. Its place in the pool is taken for that time. Default: 3 s: enough for a
    /// connect whose first packet is lost, and less than the acquire timeout, so that the fiber
    /// that waits for the place still gets it.
    pub fn care_timeout(mut self, timeout: Duration) -> Self {
        self.care_timeout = timeout;
        self
    }

    /// A connection that is idle for that long is closed. Default: 5 minutes, before firewalls
    /// forget it.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// A connection that is that old is closed when it is idle. Up to a tenth is taken off by
    /// chance, so that connections that were made together are not closed together. Default: 30
    /// minutes: the memory that a server process has gathered is freed, and a name that leads to
    /// another server is looked up again.
    pub fn lifetime_max(mut self, lifetime: Option<Duration>) -> Self {
        self.lifetime_max = lifetime;
        self
    }

    /// The counters of all pools that were made with this value and its clones, on whatever shard.
    /// Not a yield point.
    pub fn stats(&self) -> PoolStats {
        self.totals.stats()
    }
}

const CONNECTIONS_MAX: usize = 8;
const WAITING_MAX: usize = 1000;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CARE_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);
