//! A call of std on a thread of the pool of files.

use std::io;
use std::sync::OnceLock;

use crate::driver::World;
use crate::offload::{OffloadConfig, OffloadPool, offload};

/// The pool on whose threads the calls of this module run. It has the default bounds, and is
/// separate from the pool of [`offload`](crate::offload).
///
/// In a simulation the calls do not use it: there they are jobs of the simulation.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::fs;
///
/// fs::read("Cargo.toml")?; // outside of a fiber the thread waits
/// assert!(fs::pool().stats().completed > 0);
/// # std::io::Result::Ok(())
/// ```
pub fn pool() -> &'static OffloadPool {
    static FILES: OnceLock<OffloadPool> = OnceLock::new();
    FILES.get_or_init(|| OffloadPool::new(OffloadConfig::default().with_name("files")))
}

/// Runs a call that may block. A yield point.
pub(super) fn run_job<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if World::current().is_some() { offload(call)? } else { pool().run(call)? }
}

/// How many bytes one job moves for a call that moves a whole file. So large that the cost of a job
/// does not matter, so small that a job which no caller waits for soon ends.
pub(super) const PIECE_BYTES: usize = 1 << 20;
