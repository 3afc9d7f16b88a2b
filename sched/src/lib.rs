//! The fiber scheduler of straightline.
//!
//! A *shard* is one thread's scheduler. It runs *fibers*: stackful coroutines that look like
//! threads to the code they run, and cost about 10 ns to start. A fiber that would block gives the
//! thread to the next one and comes back when what it waits for has happened. Fibers never leave
//! the thread they were born on, so [`spawn`] needs neither `Send` nor `Arc`, thread-locals keep
//! working, and `Rc` and `Cell` are fine.
//!
//! ```
//! use std::time::Duration;
//! use straightline_sched as sched;
//!
//! sched::run(|| {
//!     let slow = sched::spawn(|| {
//!         sched::sleep(Duration::from_millis(1));
//!         "slow"
//!     });
//!     let fast = sched::spawn(|| "fast");
//!     assert_eq!(fast.join().unwrap(), "fast");
//!     assert_eq!(slow.join().unwrap(), "slow");
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Yield points
//!
//! A fiber runs until it waits: nothing interrupts it. The calls that may wait say so in their
//! documentation ("a yield point"). A fiber that computes for long keeps its thread for as long;
//! [`checkpoint`] in such a loop lets the others in.
//!
//! # Ending a fiber
//!
//! [`JoinHandle::cancel`] makes a fiber unwind at its next yield point; its destructors run. The
//! same happens to every fiber that is left when [`run`]'s root returns. While a fiber unwinds, for
//! this reason or because it panicked, blocking calls in its destructors return at once instead of
//! waiting. This needs `panic = "unwind"`, the default.

mod block_on;
mod core;
mod driver;
mod fiber;
#[cfg(feature = "slog")]
mod log;
mod offload;
mod primitives;
pub mod sync;
mod watch;

pub use crate::block_on::block_on;
pub use crate::core::{
    BeforePark, Builder, Config, DeadlineExceeded, Fiber, FiberInfo, FiberLocal, FiberState,
    Handle, JoinError, JoinHandle, Report, Reporter, Scope, Source, SpawnError, Stats, TryScope,
    Unwinding, before_park, checkpoint, current, deadline, inspect, inspect_with_backtraces, now,
    park, park_timeout, poll_checkpoint, remaining, run, run_with, scope, sleep, spawn,
    spawn_episodes, stack_census, stats, try_scope, uncancellable, wait_for_armed, wake_later,
    yield_now,
};
pub use crate::driver::{Interest, SHORT_READ_DRAINS};
pub use crate::fiber::backtrace::Backtrace;
pub use crate::fiber::census::StackUse;
pub use crate::fiber::unwind::is_cancel;
#[cfg(feature = "slog")]
pub use crate::log::{logger, set_thread_logger, with_logger};
pub use crate::offload::{OffloadConfig, OffloadError, OffloadPool, OffloadStats, offload};
pub use crate::watch::{Stall, StallCause};
