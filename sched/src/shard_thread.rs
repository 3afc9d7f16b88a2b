//! Further shards: each on a thread of its own, or in a simulation on the simulation's thread.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::mpsc;
use std::thread;

use crate::core::{Config, JoinError, Unwinding, discard, is_thread_kept, run_on};
use crate::driver::{Driver, World};
use crate::sim::{self, add_shard};
use crate::sync::watch::{Watch, Watcher};
use crate::sync::{Selectable, oneshot};

/// A shard that [`spawn_shard`] has started. Dropping the handle lets the shard go on by itself.
pub struct ShardJoinHandle<T> {
    /// Comes when the shard has ended; [`select`](crate::sync::select()) watches it.
    outcome: oneshot::Receiver<Outcome<T>>,
    /// `None` in a simulation.
    thread: Option<thread::JoinHandle<()>>,
}

/// The outcome of a shard.
struct Outcome<T> {
    result: thread::Result<io::Result<T>>,
    /// The thread does not end, because fibers were abandoned there.
    is_thread_kept: bool,
}

/// Starts a thread of that name that is a shard, with `root` as its first fiber: as
/// [`run_with`](crate::run_with) on another thread. In a [simulation](crate::sim) it is another
/// shard of the simulation.
///
/// Not a yield point. Waits until the new thread has made its driver.
///
/// # Errors
///
/// When the system refuses the thread, or a descriptor for its driver; when a driver is asked for
/// that it does not have ([`Config::driver`]); in a simulation, when the stack of the first fiber
/// is refused.
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let start = |number| {
///     sched::spawn_shard(&format!("worker-{number}"), Config::default(), move || number)
/// };
/// let shards = [start(1)?, start(2)?];
/// let mut sum = 0;
/// for shard in shards {
///     sum += shard.join().unwrap()?;
/// }
/// assert_eq!(sum, 3);
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn spawn_shard<T: Send + 'static>(
    name: &str,
    config: Config,
    root: impl FnOnce() -> T + Send + 'static,
) -> io::Result<ShardJoinHandle<T>> {
    let (sender, outcome) = oneshot::channel();
    if let Some(world) = World::current() {
        let host = sim::host();
        let root = move || match host {
            Some(host) => sim::on_host(host, root),
            None => root(),
        };
        add_shard(&world, &config, Location::caller(), root, move |ended| {
            let ended = match ended.map_err(JoinError::into_panic) {
                Ok(value) => Ok(Ok(value)),
                Err(Ok(payload)) => Err(payload),
                Err(Err(error)) => Ok(Err(io::Error::other(error))),
            };
            // The handle may be gone.
            let ended = Outcome { result: ended, is_thread_kept: false };
            let _ = sender.send(ended).map_err(discard);
        })?;
        return Ok(ShardJoinHandle { outcome, thread: None });
    }
    // The driver belongs to the new thread, which makes it and reports a failure: there may be no
    // such driver, or no descriptor left.
    let (begun, begins) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let driver = match Driver::system(config.driver) {
            Ok(driver) => driver,
            Err(error) => return drop(begun.send(Err(error))),
        };
        let _ = begun.send(Ok(())); // the caller waits for it
        let result = catch_unwind(AssertUnwindSafe(|| run_on(driver, config, root)));
        let ended = Outcome { result, is_thread_kept: is_thread_kept() };
        let _ = sender.send(ended).map_err(discard); // the handle may be gone
    })?;
    // If the thread ends without a word, it has panicked, and the outcome is missing.
    if let Ok(Err(error)) = begins.recv() {
        let _ = thread.join();
        return Err(error);
    }
    Ok(ShardJoinHandle { outcome, thread: Some(thread) })
}

impl<T> ShardJoinHandle<T> {
    /// Waits until the shard has ended, and returns its root fiber's result. Works on fibers and on
    /// plain threads. If fibers of the shard were abandoned, its thread never ends (see
    /// [`run`](crate::run)), and this call does not wait for the thread.
    ///
    /// # Blocking
    ///
    /// A yield point; a plain thread is blocked.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding; the shard goes on.
    ///
    /// # Errors
    ///
    /// The outer one is the payload of the root fiber's panic, or [`Unwinding`] in a destructor of
    /// a fiber that unwinds, which may not wait; the inner one is [`run`](crate::run)'s.
    pub fn join(self) -> thread::Result<io::Result<T>> {
        let Ok(outcome) = self.outcome.recv() else {
            return Err(Box::new(Unwinding) as Box<dyn Any + Send>);
        };
        if let Some(thread) = self.thread
            && !outcome.is_thread_kept
        {
            // The thread has nothing left to do.
            thread.join()?;
        }
        outcome.result
    }
}

impl<T> Watch for ShardJoinHandle<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.outcome.watch(watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.outcome.unwatch(watcher);
    }
}

impl<T> Selectable for ShardJoinHandle<T> {}

impl<T> fmt::Debug for ShardJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardJoinHandle").finish_non_exhaustive()
    }
}
