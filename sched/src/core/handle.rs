//! A handle to a shard, for other threads.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::counters::{Counters, Stats};
use super::fiber_info::FiberInfo;
use super::inspect::list_fibers_with_backtraces;
use super::local;
use super::mailbox::{Closed, Mailbox, Message, Question, Sent, SpawnError};
use crate::watchdog::Pulse;

/// A handle to a shard, which any thread may hold.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (shard, me) = (sched::ShardHandle::current(), sched::current());
///     let helper = std::thread::spawn(move || shard.spawn(move || me.unpark()));
///     sched::park();
///     assert!(helper.join().unwrap().is_ok());
/// });
/// ```
#[derive(Clone)]
pub struct ShardHandle {
    mailbox: Arc<Mailbox>,
    counters: Arc<Counters>,
    pulse: Arc<Pulse>,
}

impl ShardHandle {
    /// The handle of the shard that the calling fiber runs on.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn current() -> Self {
        local::with(|shard| Self {
            mailbox: Arc::clone(shard.inbox.mailbox()),
            counters: Arc::clone(&shard.counters),
            pulse: Arc::clone(&shard.pulse),
        })
    }

    /// The shard's counters; the gauges have the values of its last turn.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::{self as sched, ShardHandle};
    ///
    /// let shard = sched::run(ShardHandle::current);
    /// assert_eq!(shard.stats().spawned, 1); // its root; a handle outlives the shard
    /// ```
    pub fn stats(&self) -> Stats {
        self.counters.stats(&self.pulse)
    }

    /// Runs `body` as a new fiber of that shard, at the earliest in its next turn.
    ///
    /// The closure crosses threads, so it must be `Send`; the values that it makes there need not
    /// be. Its result comes back through a channel of [`sync`](crate::sync).
    ///
    /// Not a yield point, and does not block the calling thread.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] if the shard has ended, or has not kept up with earlier ones; `body` is then
    /// dropped on the calling thread.
    ///
    /// ```
    /// use straightline_sched::{self as sched, ShardHandle, SpawnError};
    ///
    /// let ended = sched::run(ShardHandle::current);
    /// assert_eq!(ended.spawn(|| ()), Err(SpawnError::Closed));
    /// ```
    #[track_caller]
    pub fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
        let spawned_at = Location::caller();
        self.mailbox.send_fiber(|| Sent { body: Box::new(body), spawned_at })
    }
}

impl ShardHandle {
    /// Lists every fiber of the shard, with the backtraces of at most `backtraces_max` parked
    /// fibers. Call it on a thread without fibers, such as one that waits for a signal: a fiber
    /// calls [`inspect`](crate::inspect).
    ///
    /// # Blocking
    ///
    /// Blocks the calling *thread* until the shard has answered, which it does between two turns of
    /// its fibers. A fiber of another shard must not call it, as that shard would stand still. Does
    /// not wait on the shard itself.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if the shard has not answered within `timeout`, because a fiber
    /// keeps its thread; [`io::ErrorKind::NotConnected`] if the shard has ended.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let (shard, me) = (sched::ShardHandle::current(), sched::current());
    ///     let asker = std::thread::spawn(move || {
    ///         let fibers = shard.inspect(10, Duration::from_secs(10));
    ///         me.unpark();
    ///         fibers.map(|fibers| fibers.len())
    ///     });
    ///     sched::park();
    ///     assert_eq!(asker.join().unwrap()?, 1);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn inspect(&self, backtraces_max: usize, timeout: Duration) -> io::Result<Vec<FiberInfo>> {
        let here = local::try_with(|shard| {
            let is_mine = Arc::ptr_eq(shard.inbox.mailbox(), &self.mailbox);
            is_mine.then(|| list_fibers_with_backtraces(shard, backtraces_max))
        });
        if let Some(fibers) = here.flatten() {
            return Ok(fibers);
        }
        let (question, answer, _asker) = Question::new(backtraces_max);
        let closed = |_| io::Error::new(io::ErrorKind::NotConnected, SpawnError::Closed);
        self.mailbox.send(Message::Inspect(question)).map_err(closed)?;
        answer.recv_timeout(timeout).map_err(|error| match error {
            mpsc::RecvTimeoutError::Disconnected => closed(Closed),
            mpsc::RecvTimeoutError::Timeout => io::Error::new(
                io::ErrorKind::TimedOut,
                "the shard did not answer in time: a fiber keeps its thread, or the machine is \
                 overloaded",
            ),
        })
    }
}

impl fmt::Debug for ShardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardHandle").finish_non_exhaustive()
    }
}
