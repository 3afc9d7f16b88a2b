//! A server that listens, and the handle that stops it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use straightline_sched::sync::{Selectable, select};
use straightline_sched::{self as sched, Fiber, FiberInfo, sim};

use super::accept::Listener;
use super::address::Address;
use super::builder::{Builder, Config, ServiceFactory};
use super::counters::{Counters, ShardCounters};
use super::shard;
use super::signals::SignalThread;

/// A server whose sockets are open.
///
/// ```
/// use straightline::{Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").workers(1).build(|_: &mut Request| "hi\n")?;
/// let handle = server.handle();
/// handle.stop(); // usually from elsewhere, while it runs
/// server.run()?;
/// assert_eq!(handle.counters().accepted, 0);
/// # std::io::Result::Ok(())
/// ```
pub struct Server {
    shared: Arc<Shared>,
    /// One group of listeners for each shard.
    shards: Vec<Vec<Listener>>,
    _signals: Option<SignalThread>,
}

/// A way to a server from any thread: stops it, reads its counters.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

/// What the shards, the handles and the signals have in common.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) factory: Arc<ServiceFactory>,
    local: Vec<Address>,
    /// One for each shard.
    pub(super) counters: Vec<ShardCounters>,
    /// A [`Phase`]; it only grows.
    phase: AtomicU8,
    /// The root fiber of each shard that runs, to be woken when the phase changes.
    roots: Mutex<Vec<Fiber>>,
    /// The shards themselves, in the order of their indices once they run.
    running: Mutex<Vec<(usize, sched::Handle)>>,
}

/// How far a server's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Serving,
    /// Nobody new; what is in flight is finished.
    Draining,
    /// What is in flight is cut.
    Cutting,
}

impl Server {
    /// Describes a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(
        shared: Arc<Shared>,
        shards: Vec<Vec<Listener>>,
        signals: Option<SignalThread>,
    ) -> Self {
        Self { shared, shards, _signals: signals }
    }

    /// What it listens on, in the order of the binds and with the real ports.
    pub fn local_addrs(&self) -> &[Address] {
        &self.shared.local
    }

    /// A handle that stops it.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until it is stopped, and then until what is in flight is done: each shard on a thread
    /// of its own, while the calling one waits.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread, which is none of the shards'. From a fiber it is a yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and stops the server as
    /// [`ServerHandle::stop`] does; its shards then end by themselves.
    ///
    /// # Errors
    ///
    /// When a shard cannot be started. The others are stopped then.
    ///
    /// # Panics
    ///
    /// When a shard does, which handlers cannot cause: it is a bug in this library, or a descriptor
    /// was closed behind its back. The others are stopped first.
    pub fn run(self) -> io::Result<()> {
        let Self { shared, shards, _signals } = self;
        // Also if the wait below is unwound.
        let _stop = StopOnDrop(Arc::clone(&shared));
        let mut running = Vec::with_capacity(shards.len());
        let mut result = Ok(());
        for (index, listeners) in shards.into_iter().enumerate() {
            match shard::start(&shared, index, listeners) {
                Ok(shard) => running.push(shard),
                Err(error) => {
                    shared.stop();
                    result = Err(error);
                    break;
                }
            }
        }
        let mut panic = None;
        while !running.is_empty() {
            let shards: Vec<_> = running.iter().map(|shard| shard as &dyn Selectable).collect();
            let ended = running.swap_remove(select(&shards)?);
            // However a shard ends, it does not end alone.
            shared.stop_if_serving();
            match ended.join() {
                Ok(ended) => result = result.and(ended.and_then(|served| served)),
                Err(payload) => panic = Some(payload),
            }
        }
        for address in &shared.local {
            if let Address::Unix(path) = address
                && !sim::is_simulated()
            {
                // Somebody else may have removed it already.
                let _ = std::fs::remove_file(path);
            }
        }
        match panic {
            Some(payload) => std::panic::resume_unwind(payload),
            None => result,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addrs", &self.shared.local)
            .field("workers", &self.shards.len())
            .finish_non_exhaustive()
    }
}

impl ServerHandle {
    /// Begins the end: nobody new is accepted, idle connections close, requests in flight are
    /// finished and answered with `Connection: close`, for up to the drain timeout. A second call
    /// cuts what is left at once. [`Server::run`] returns when all is done.
    ///
    /// Not a yield point: it returns at once, and works from any thread, handlers included.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Lists the fibers of every shard, each with the backtraces of at most `backtraces_max` parked
    /// ones. The error of a shard is that it does not answer in `timeout`, or does not run.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until all shards have answered, so it is not for a handler: that
    /// one can list its own shard with [`sched::inspect`](straightline_sched::inspect).
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").workers(1).build(|_: &mut Request| "")?;
    /// let handle = server.handle();
    /// let serving = std::thread::spawn(|| server.run());
    /// for shard in handle.inspect(10, Duration::from_secs(1)) {
    ///     for fiber in shard? {
    ///         println!("{fiber}");
    ///     }
    /// }
    /// handle.stop();
    /// serving.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<io::Result<Vec<FiberInfo>>> {
        self.shared.inspect(backtraces_max, timeout)
    }

    /// What the server has seen so far. Not a yield point; works from any thread.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.shared.counters.iter().for_each(|counters| counters.add_to(&mut sum));
        sum
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("local_addrs", &self.shared.local)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        config: Config,
        factory: Arc<ServiceFactory>,
        local: Vec<Address>,
        workers: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            factory,
            local,
            counters: (0..workers).map(|_| ShardCounters::default()).collect(),
            phase: AtomicU8::new(Phase::Serving as u8),
            roots: Mutex::default(),
            running: Mutex::default(),
        })
    }

    /// One phase further; the last one stays.
    pub(super) fn stop(&self) {
        let next = |phase: u8| Some((phase + 1).min(Phase::Cutting as u8));
        let _ = self.phase.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        self.roots.lock().iter().for_each(Fiber::unpark);
    }

    fn stop_if_serving(&self) {
        if self.phase() == Phase::Serving {
            self.stop();
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cutting,
        }
    }

    /// Has the calling fiber woken at every change of the phase from now on.
    pub(super) fn watch_phase(&self, index: usize) {
        self.roots.lock().push(sched::current());
        self.running.lock().push((index, sched::Handle::current()));
    }

    /// What each shard answers, in the order of their indices.
    pub(super) fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<io::Result<Vec<FiberInfo>>> {
        // Not under the lock: an answer may take its time.
        let mut shards = self.running.lock().clone();
        shards.sort_by_key(|(index, _)| *index);
        shards.iter().map(|(_, shard)| shard.inspect(backtraces_max, timeout)).collect()
    }
}

/// However `Server::run` is left, its shards do not go on for ever.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop_if_serving();
    }
}
