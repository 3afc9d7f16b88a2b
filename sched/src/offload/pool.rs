//! The threads, the queue, and the one lock over both.
//!
//! **How many threads.** A thread is started when more jobs wait than threads are free, and the
//! limit allows one more. The limit is `max_threads`, and one more for each lost thread, up to
//! `max_lost_threads` of them. A thread that finds the pool above the limit when its job ends, ends
//! too; so does a thread that has had no job for `idle_timeout`.
//!
//! **When a job is refused.** When `max_queue` jobs wait already, and no thread is free or can be
//! started. So a pool with `max_queue` 0 runs as many jobs as it has threads.
//!
//! **Jobs that run jobs.** A job that calls `run` of its own pool keeps its thread while it waits.
//! The pool knows which threads wait so. It refuses the call that would make all of them wait when
//! no further thread can be started. A thread above the limit stays while the others wait.
//!
//! **Forks.** A child process has none of its parent's threads, and perhaps a lock that one of them
//! held at that moment. So the child touches nothing of the parent's pool: it has a pool of its own
//! under the same name, which its first call makes.
//!
//! No closure, destructor or waker of the user is called under the lock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::error::{Kind, OffloadError};
use super::job::{Job, Slot};
use crate::core::{Unwinding, discard, is_on_a_shard, is_unwinding};
use crate::driver::World;
use crate::sync::waiter::wait;
use crate::with_fields::with_fields;

/// A bounded pool of threads for jobs that block, see [`offload`](super::offload).
///
/// A separate pool keeps one kind of work from blocking another kind: a slow file system then uses
/// up its own threads, and not those that resolve names. Any thread and any shard may use a pool,
/// through an [`Arc`] or a `static`. Dropping the pool [closes](Self::close) it.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, OffloadConfig, OffloadPool};
///
/// sched::run(|| {
///     let config = OffloadConfig::default().with_max_threads(2);
///     let pool = Rc::new(OffloadPool::new(config));
///     let sums: Vec<_> = (1..=3)
///         .map(|n: u64| {
///             let pool = Rc::clone(&pool);
///             sched::spawn(move || pool.run(move || (0..=n).sum::<u64>()))
///         })
///         .collect();
///     let total: u64 = sums.into_iter().map(|sum| sum.join().unwrap().unwrap()).sum();
///     assert_eq!(total, 1 + 3 + 6);
///     assert_eq!(pool.stats().completed, 3);
/// });
/// ```
pub struct OffloadPool {
    of_process: OfProcess,
    closed: AtomicBool,
}

/// The pool's state in one process.
struct OfProcess {
    process: u32,
    shared: Arc<Shared>,
    /// The state in a process that was forked from it.
    child: OnceLock<Box<OfProcess>>,
}

/// The bounds of an [`OffloadPool`].
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{OffloadConfig, OffloadPool};
///
/// let config = OffloadConfig::default()
///     .with_max_threads(4)
///     .with_max_queue(100)
///     .with_max_lost_threads(4)
///     .with_idle_timeout(Duration::from_secs(60))
///     .with_name("files");
/// let files = OffloadPool::new(config);
/// assert_eq!(files.stats().threads, 0); // they are started on demand
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OffloadConfig {
    /// How many threads serve at most; at least 1. Default: 64, arbitrary, for jobs that mostly
    /// wait. For computations use the number of cores.
    pub max_threads: usize,
    /// How many jobs may wait for a thread; one more is refused. Default: 1,024, arbitrary.
    pub max_queue: usize,
    /// How many lost threads are replaced: at most `max_threads + max_lost_threads` threads ever
    /// exist. Default: 64, arbitrary.
    pub max_lost_threads: usize,
    /// How long a thread waits for another job before it ends. Default: 10 s, arbitrary.
    pub idle_timeout: Duration,
    /// The name of the threads; Linux shows 15 bytes of it. Default: `offload`.
    pub name: String,
}

impl OffloadConfig {
    /// The same with another [`name`](Self::name). Not a yield point.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

with_fields! { OffloadConfig {
    with_max_threads: max_threads: usize,
    with_max_queue: max_queue: usize,
    with_max_lost_threads: max_lost_threads: usize,
    with_idle_timeout: idle_timeout: Duration,
} }

/// The numbers of an [`OffloadPool`], now and in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffloadStats {
    /// Threads that exist, including the lost ones.
    pub threads: usize,
    /// Threads that wait for a job, or are just about to take one.
    pub idle: usize,
    /// Jobs that have not begun.
    pub queued: usize,
    /// Threads whose job goes on although its caller has left.
    pub lost: usize,
    /// Jobs that went on although their caller had left, including those that have ended since.
    pub abandoned: u64,
    /// Jobs that were refused because the queue was full or no thread could be started.
    pub refused: u64,
    /// Jobs that ended, by returning or by panicking, including those of lost threads.
    pub completed: u64,
}

struct Shared {
    config: OffloadConfig,
    state: Mutex<State>,
    /// Notified when a job comes for an idle thread, or the pool was closed.
    work: Condvar,
}

/// `threads` = `idle` + `running.len()`, and `lost` is how many of `running` are lost.
#[derive(Default)]
struct State {
    /// Oldest first: numbers are given in order of arrival.
    queue: BTreeMap<u64, Queued>,
    /// The jobs that threads run now.
    running: BTreeMap<u64, Running>,
    jobs: u64,
    threads: usize,
    idle: usize,
    lost: usize,
    abandoned: u64,
    closed: bool,
    refused: u64,
    completed: u64,
}

struct Queued {
    job: Arc<dyn Job>,
    /// The job of this pool whose thread waits for it, if there is one.
    asker: Option<u64>,
}

#[derive(Clone, Copy)]
struct Running {
    asker: Option<u64>,
    /// Its caller has left.
    lost: bool,
    /// It waits for another job of the pool.
    waits: bool,
}

thread_local! {
    /// The pool that the thread serves, by the address of its `Shared`, and the job that it runs.
    static SERVES: Cell<Option<(usize, u64)>> = const { Cell::new(None) };
}

impl OfProcess {
    fn new(config: OffloadConfig, closed: bool) -> Self {
        let state = Mutex::new(State { closed, ..State::default() });
        let shared = Arc::new(Shared { config, state, work: Condvar::new() });
        Self { process: process::id(), shared, child: OnceLock::new() }
    }
}

impl OffloadPool {
    /// A pool of its own; it starts no thread yet.
    ///
    /// # Panics
    ///
    /// If `max_threads` is 0, or the name contains a zero byte.
    #[track_caller]
    pub fn new(config: OffloadConfig) -> Self {
        assert!(
            config.max_threads > 0,
            "straightline: an `OffloadPool` with `max_threads` 0 runs no job: give it 1 at least"
        );
        assert!(
            !config.name.contains('\0'),
            "straightline: the `name` of an `OffloadPool` is that of its threads, which have no \
             zero byte in it: {:?}",
            config.name
        );
        Self { of_process: OfProcess::new(config, false), closed: AtomicBool::new(false) }
    }

    /// The state of the calling process.
    fn shared(&self) -> &Arc<Shared> {
        let (mut own, process) = (&self.of_process, process::id());
        while own.process != process {
            let make = || {
                let config = self.of_process.shared.config.clone();
                Box::new(OfProcess::new(config, self.closed.load(Ordering::Relaxed)))
            };
            own = own.child.get_or_init(make);
        }
        &own.shared
    }

    /// The process's own pool, with the default bounds: the one of [`offload`](super::offload).
    ///
    /// ```
    /// use straightline_sched::OffloadPool;
    ///
    /// println!("{:?}", OffloadPool::global().stats());
    /// ```
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<OffloadPool> = OnceLock::new();
        GLOBAL.get_or_init(|| Self::new(OffloadConfig::default()))
    }

    /// Runs `job` on a thread of this pool and returns what it returned, exactly as
    /// [`offload`](super::offload) does.
    ///
    /// # Blocking
    ///
    /// A yield point: the fiber waits for the job, and other fibers run. On a thread without fibers
    /// the thread waits. A job that itself calls `run` of the same pool keeps its thread while it
    /// waits. If all threads of the pool came to wait like that, they would wait for ever; so the
    /// last such call is an error, see [`OffloadError::is_deadlock`]. Jobs of two pools that call
    /// `run` of each other's pool can block both pools, and that is not detected: let one kind of
    /// work wait for the other, and not both ways.
    ///
    /// In a child of `fork` the pool begins afresh, without the jobs of the parent.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline unwinds at once. If its job has not begun, it
    /// is never run; otherwise the job goes on, and its thread is lost to the pool until it ends.
    ///
    /// # Errors
    ///
    /// [`OffloadError`], as `offload`, and when the pool was closed.
    ///
    /// # Panics
    ///
    /// With the job's own payload if the job panics.
    ///
    /// ```
    /// use straightline_sched::{OffloadConfig, OffloadPool};
    ///
    /// let pool = OffloadPool::new(OffloadConfig::default());
    /// assert_eq!(pool.run(|| 6 * 7).unwrap(), 42); // without fibers, this thread waits
    /// ```
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OffloadError> {
        if is_unwinding() {
            return Err(Unwinding.into());
        }
        if World::current().is_some() && !is_on_a_shard() && !self.closed.load(Ordering::Relaxed) {
            // In a job or an event of a simulation: this is the only thread that could run the job.
            return Ok(job());
        }
        let shared = self.shared();
        let slot = Arc::new(Slot::new(job));
        let id = shared.submit(Arc::clone(&slot) as Arc<dyn Job>)?;
        let _leaving = Leaving { shared, id };
        loop {
            if let Some(outcome) = slot.take() {
                return outcome;
            }
            wait(&"offload")?;
        }
    }

    /// Takes no more jobs. Jobs that have not begun are dropped, and their callers get an error.
    /// Jobs that run go on to their end, and their threads end with them.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::{OffloadConfig, OffloadPool};
    ///
    /// let pool = OffloadPool::new(OffloadConfig::default());
    /// pool.close();
    /// assert!(pool.run(|| ()).unwrap_err().is_closed());
    /// ```
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let shared = self.shared();
        let mut state = shared.state.lock();
        state.closed = true;
        let queue = state.take_queue();
        drop(state);
        shared.work.notify_all();
        queue.into_values().for_each(|queued| queued.job.refuse(Kind::Closed));
    }

    /// The pool's numbers. Not a yield point.
    pub fn stats(&self) -> OffloadStats {
        let state = self.shared().state.lock();
        OffloadStats {
            threads: state.threads,
            idle: state.idle,
            queued: state.queue.len(),
            lost: state.lost,
            abandoned: state.abandoned,
            refused: state.refused,
            completed: state.completed,
        }
    }
}

impl Drop for OffloadPool {
    /// Waits for nothing: jobs that run go on.
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for OffloadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffloadPool")
            .field("config", &self.of_process.shared.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Default for OffloadConfig {
    fn default() -> Self {
        Self {
            max_threads: 64,
            max_queue: 1_024,
            max_lost_threads: 64,
            idle_timeout: Duration::from_secs(10),
            name: "offload".to_owned(),
        }
    }
}

/// The caller of a job waits for it no more. Does nothing if the job has ended.
struct Leaving<'p> {
    shared: &'p Arc<Shared>,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.abandon(self.id);
    }
}

impl Shared {
    /// The job of this pool that the calling thread runs, which would keep the thread while it
    /// waits. A fiber does not keep it, even on a shard that a job has made.
    fn own_job_here(self: &Arc<Self>) -> Option<u64> {
        let (shared, job) = SERVES.get()?;
        (shared == Arc::as_ptr(self).addr() && !is_on_a_shard()).then_some(job)
    }

    fn submit(self: &Arc<Self>, job: Arc<dyn Job>) -> Result<u64, Kind> {
        let asker = self.own_job_here();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Kind::Closed);
        }
        if let Some(asker) = asker {
            let is_last = state.threads >= self.threads_limit(&state) && state.all_wait_but(asker);
            if is_last {
                state.refused += 1;
                return Err(Kind::Deadlock);
            }
        }
        let free = state.idle + self.threads_limit(&state).saturating_sub(state.threads);
        if state.queue.len() >= self.config.max_queue.saturating_add(free) {
            state.refused += 1;
            return Err(Kind::QueueFull);
        }
        let id = state.jobs;
        state.jobs += 1;
        state.queue.insert(id, Queued { job, asker });
        state.set_waits(asker, true);
        let one_more = self.take_place(&mut state);
        drop(state);
        if one_more {
            self.start_thread();
        } else {
            self.work.notify_one();
        }
        Ok(id)
    }

    fn abandon(self: &Arc<Self>, id: u64) {
        let mut state = self.state.lock();
        let mut one_more = false;
        let unbegun = state.queue.remove(&id);
        if let Some(running) = state.running.get_mut(&id) {
            running.lost = true;
            state.lost += 1;
            state.abandoned += 1;
            one_more = self.take_place(&mut state);
        }
        drop(state);
        drop(unbegun);
        if one_more {
            self.start_thread();
        }
    }

    fn threads_limit(&self, state: &State) -> usize {
        let replaced = state.lost.min(self.config.max_lost_threads);
        self.config.max_threads.saturating_add(replaced)
    }

    /// Counts one more thread if there is work for it and the limit allows it.
    fn take_place(&self, state: &mut State) -> bool {
        let needed = state.queue.len() > state.idle;
        let one_more = needed && state.threads < self.threads_limit(state);
        if one_more {
            state.threads += 1;
            state.idle += 1;
        }
        one_more
    }

    /// Starts the thread that was counted, and takes the count back if the system refuses it.
    fn start_thread(self: &Arc<Self>) {
        if let Some(world) = World::current() {
            return self.simulate_thread(&world);
        }
        let shared = Arc::clone(self);
        let builder = thread::Builder::new().name(self.config.name.clone());
        let Err(error) = builder.spawn(move || shared.serve()) else {
            return;
        };
        let mut state = self.state.lock();
        state.threads -= 1;
        state.idle -= 1;
        // The threads that serve take the job in their turn. Without any thread, the job would wait
        // for ever.
        let serves = |running: &Running| !running.lost && !running.waits;
        let is_unserved = state.idle == 0 && !state.running.values().any(serves);
        let unserved = if is_unserved { state.take_queue() } else { BTreeMap::new() };
        state.refused += unserved.len() as u64;
        drop(state);
        for Queued { job, .. } in unserved.into_values() {
            job.refuse(Kind::NoThread(io::Error::new(error.kind(), error.to_string())));
        }
    }

    /// A thread's life: it is idle when it begins, and counted already.
    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some((id, job)) = state.begin() {
                drop(state);
                if !self.work_off(id, job) {
                    return;
                }
                state = self.state.lock();
            } else {
                let timed_out = !state.closed
                    && self.work.wait_for(&mut state, self.config.idle_timeout).timed_out();
                if state.queue.is_empty() && (state.closed || timed_out) {
                    state.idle -= 1;
                    state.threads -= 1;
                    return;
                }
            }
        }
    }

    /// The life of a thread in a simulation: it lets the job's time pass, and then runs it.
    fn simulate_thread(self: &Arc<Self>, world: &World) {
        let mut state = self.state.lock();
        let Some((id, job)) = state.begin() else {
            state.idle -= 1;
            state.threads -= 1;
            return;
        };
        drop(state);
        let shared = Arc::clone(self);
        world.after_job(Box::new(move || {
            if shared.work_off(id, job) {
                shared.simulate_thread(&World::expect_current());
            }
        }));
    }

    /// Runs a job that was begun; returns whether its thread is still needed.
    fn work_off(&self, id: u64, job: Arc<dyn Job>) -> bool {
        let outer = SERVES.replace(Some((std::ptr::from_ref(self).addr(), id)));
        job.run();
        SERVES.set(outer);
        let goes_on = self.settle(&mut self.state.lock(), id);
        job.deliver();
        // If the caller has left, the last owner drops the result.
        discard(job);
        goes_on
    }

    /// Records the end of a job; returns whether its thread is still needed.
    fn settle(&self, state: &mut State, id: u64) -> bool {
        if let Some(running) = state.running.remove(&id) {
            state.lost -= usize::from(running.lost);
            state.set_waits(running.asker, false);
        }
        state.completed += 1;
        let is_too_many = state.threads > self.threads_limit(state);
        let goes_on = !state.closed && (!is_too_many || state.all_wait_but(id));
        if goes_on {
            state.idle += 1;
        } else {
            state.threads -= 1;
        }
        debug_assert_eq!(state.threads, state.idle + state.running.len());
        goes_on
    }
}

impl State {
    /// The oldest job that waits; an idle thread is busy with it from now on.
    fn begin(&mut self) -> Option<(u64, Arc<dyn Job>)> {
        let (id, Queued { job, asker }) = self.queue.pop_first()?;
        self.idle -= 1;
        self.running.insert(id, Running { asker, lost: false, waits: false });
        Some((id, job))
    }

    /// Removes every job that has not begun. The caller then tells those that wait for them.
    fn take_queue(&mut self) -> BTreeMap<u64, Queued> {
        let queue = mem::take(&mut self.queue);
        queue.values().for_each(|queued| self.set_waits(queued.asker, false));
        queue
    }

    /// Records that a job begins or ends to wait for another one.
    fn set_waits(&mut self, job: Option<u64>, waits: bool) {
        if let Some(running) = job.and_then(|job| self.running.get_mut(&job)) {
            running.waits = waits;
        }
    }

    /// Whether each thread, except the one with that job, waits for another job of the pool. There
    /// is at least one.
    fn all_wait_but(&self, job: u64) -> bool {
        let mut others = self.running.iter().filter(|(other, _)| **other != job);
        self.idle == 0 && others.all(|(_, running)| running.waits)
    }
}
