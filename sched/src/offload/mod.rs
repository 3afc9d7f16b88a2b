//! Work that would block the thread: files, names to resolve, long computations.
//!
//! A fiber that calls a blocking system call stops its whole shard. [`offload`] moves the call to a
//! pool of threads, and only the fiber waits. The pool is bounded in every direction: threads, jobs
//! that wait for a thread, and threads that are lost.
//!
//! A thread is *lost* in this way: a fiber that is cancelled or past its deadline does not wait for
//! its job, but nothing can stop a thread in the middle of a system call. So the job goes on
//! although no caller takes its result, and its thread is lost to the pool until the job ends. Lost
//! threads are replaced, up to a cap. Beyond the cap the pool shrinks, and in the end refuses.
//!
//! - `pool`: the threads, the queue, and the one lock over both;
//! - `job`: a closure, its result, and the caller that waits for it;
//! - `error`: why there is no result.
//!
//! Invariant: a job is in the queue, or in the table of running jobs, or settled; and the code that
//! settles it wakes its caller. So no caller waits for ever for a job that no thread will run.

mod error;
mod job;
mod pool;

pub use error::OffloadError;
pub use pool::{OffloadConfig, OffloadPool, OffloadStats};

use crate::driver::World;

/// Runs `job` on a thread of the process's own pool, [`OffloadPool::global`], and returns its
/// result.
///
/// In a [simulation](crate::sim) the job runs after a virtual time, on the simulation's thread; a
/// job that this job offloads runs at once.
///
/// For work that really blocks: files, `getaddrinfo`, computations of more than some 100 µs. To
/// hand a job over and back costs two switches of threads, several microseconds.
///
/// # Blocking
///
/// A yield point: the fiber waits for the job, and other fibers run. On a thread without fibers the
/// thread waits, so that the pool's bounds hold for it as well.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds at once. If its job has not begun, the
/// job is never run, and its closure is dropped. If the job has begun, it goes on, its result is
/// dropped, and its thread is lost to the pool until then.
///
/// # Errors
///
/// [`OffloadError`] when the queue is full, when no thread can be started, when the caller is
/// unwinding and may not wait, and when it is itself a job and so would wait for ever
/// ([`OffloadError::is_deadlock`]). The job has not run then and will not.
///
/// # Panics
///
/// With the job's own payload if the job panics.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let text = sched::offload(|| std::fs::read_to_string("Cargo.toml"))??;
///     assert!(text.contains("[package]"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn offload<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OffloadError> {
    match World::current() {
        None => OffloadPool::global().run(job),
        Some(world) => world.local(SimulatedPool::default).0.run(job),
    }
}

/// The pool of a simulation, in place of the process's pool.
struct SimulatedPool(OffloadPool);

impl Default for SimulatedPool {
    fn default() -> Self {
        Self(OffloadPool::new(OffloadConfig::default()))
    }
}
