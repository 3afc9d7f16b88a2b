//! How long a handshake may take, and how many run at once.

use std::time::Duration;

use straightline_sched::with_fields;

/// How long a handshake may take, and how many run at once.
///
/// With mbedTLS the steps of a handshake run on threads of their own, and
/// [`running`](Self::running) is the number of these threads. With AWS-LC they run on the shard,
/// one in each of its turns, and `running` has no effect.
///
/// ```
/// use std::time::Duration;
/// use straightline_tls::{HandshakeLimits, TlsConfig};
///
/// let limits = HandshakeLimits::default()
///     .with_timeout(Duration::from_secs(5))
///     .with_running(1)
///     .with_waiting(200);
/// let config = TlsConfig::builder().handshake_limits(limits);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeLimits {
    /// How long a handshake may take from the client's first byte on. Default: 10 s.
    pub timeout: Duration,
    /// How many handshakes compute at once; a handshake that waits for its client does not count.
    /// Default: the number of cores.
    pub running: usize,
    /// How many clients wait for their turn to compute, in the order in which they came. A client
    /// beyond that is refused. Default: 4,096.
    pub waiting: usize,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        let running = std::thread::available_parallelism().map_or(1, usize::from);
        Self { timeout: Duration::from_secs(10), running, waiting: 4096 }
    }
}

with_fields!(HandshakeLimits {
    with_timeout: timeout: Duration,
    with_running: running: usize,
    with_waiting: waiting: usize,
});
