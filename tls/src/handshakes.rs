//! Who may compute a handshake now.
//!
//! The cryptography of a handshake takes from a tenth of a millisecond to several. If every
//! client's computed as soon as its bytes are there, a crowd of new clients would keep a shard from
//! all its other fibers. So handshakes take turns, in the order in which they came:
//!
//! - With a slow provider the session moves to a thread of a pool for each step, and the shard goes
//!   on. As many steps run at once as the pool has threads. The threads are `nice`: where cores are
//!   scarce, requests go first.
//! - With a fast provider the step runs on the shard, one in each of its turns: other fibers run,
//!   and new events are looked for, between two steps.
//!
//! A handshake that waits for its peer holds no turn, so slow peers do not keep others out.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use straightline_sched::sync::Semaphore;
use straightline_sched::{OffloadConfig, OffloadPool, shard_local, sleep};

use crate::handshake_error::{HandshakeError, HandshakeFailure};
use crate::handshake_limits::HandshakeLimits;

/// The handshakes of one configuration: their limits, and their turns.
pub(crate) struct Handshakes {
    limits: HandshakeLimits,
    /// For a provider that is too slow for a shard.
    pool: Option<Pool>,
    /// How many peers wait for the first turn of their handshake.
    waiting: AtomicUsize,
}

struct Pool {
    threads: OffloadPool,
    permits: Semaphore,
}

shard_local! {
    /// The turns of the handshakes that run on this shard.
    static TURNS: Semaphore = Semaphore::new(1);
}

impl Handshakes {
    pub(crate) fn new(limits: HandshakeLimits, is_slow: bool) -> Arc<Self> {
        let running = limits.running.max(1);
        let pool = is_slow.then(|| Pool {
            threads: OffloadPool::new(
                OffloadConfig::default()
                    .with_max_threads(running)
                    // The permits bound it. Steps that were abandoned may still be in the queue.
                    .with_max_queue(usize::MAX)
                    .with_name("tls"),
            ),
            permits: Semaphore::new(running),
        });
        Arc::new(Self { limits, pool, waiting: AtomicUsize::new(0) })
    }

    /// How long a handshake may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// Runs a step of a handshake when its turn has come. `is_first` is the first step of a peer,
    /// which is refused if too many wait.
    ///
    /// A yield point.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        is_first: bool,
        step: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HandshakeError> {
        let turns;
        let permits = if let Some(pool) = &self.pool {
            &pool.permits
        } else {
            turns = TURNS.get().map_err(|error| HandshakeError::other(error.into()))?;
            &*turns
        };
        let permit = if let Ok(permit) = permits.try_acquire(1) {
            permit
        } else {
            let _waiting = is_first.then(|| self.wait_in_line()).transpose()?;
            permits
                .acquire(1)
                .map_err(|_| HandshakeError::other("the fiber is unwinding".into()))?
        };
        let result = if let Some(pool) = &self.pool {
            pool.threads.run(move || {
                be_nice();
                step()
            })
        } else {
            let result = step();
            // Not a mere yield: a shard that always has a fiber to run polls for events only after
            // many turns, and this one was long. A sleep ends after a poll.
            sleep(Duration::ZERO);
            Ok(result)
        };
        drop(permit);
        result.map_err(|error| HandshakeError::other(error.into()))
    }

    fn wait_in_line(&self) -> Result<Waiting<'_>, HandshakeError> {
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limits.waiting {
            return Err(HandshakeError::new(HandshakeFailure::Overloaded));
        }
        Ok(waiting)
    }
}

/// One peer that waits, until this is dropped.
struct Waiting<'h>(&'h AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lowers the priority of the calling thread, once.
fn be_nice() {
    thread_local! {
        static IS_NICE: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_NICE.replace(true) {
        // On Linux this is of the thread. If it is refused, the thread competes with the shards.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICENESS);
    }
}

/// Arbitrary: a shard gets some nine times as much of a core that it shares with such a thread.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
