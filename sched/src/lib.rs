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

mod core;
mod driver;
mod fiber;
mod primitives;
pub mod sync;

pub use crate::core::{
    BeforePark, Closed, Config, Fiber, Handle, JoinError, JoinHandle, Source, Unwinding,
    before_park, checkpoint, current, now, park, park_timeout, run, run_with, sleep, spawn,
    spawn_episodes, try_spawn, wake_later, yield_now,
};
pub use crate::driver::{Interest, SHORT_READ_DRAINS};
pub use crate::fiber::unwind::is_cancel;
