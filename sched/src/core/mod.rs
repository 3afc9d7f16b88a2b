//! The scheduler: who runs next, and what a parked fiber waits for.
//!
//! `shard` owns everything and turns; the other files are one verb each: `park` (give the thread
//! back, be woken), `spawn` and `join`, `timer` (sleep), `source` (wait for a descriptor),
//! `mailbox` (what other threads may ask for). Nothing in a shard is shared with another thread
//! but its mailbox, so there is no lock and no atomic on the way of a request.

mod join;
mod letterbox;
mod local;
mod mailbox;
mod park;
mod shard;
mod source;
mod spawn;
mod timer;

pub use join::{JoinError, JoinHandle};
pub use mailbox::{Closed, Handle};
pub use park::{
    BeforePark, Fiber, Unwinding, before_park, checkpoint, current, park, park_timeout, wake_later,
    yield_now,
};
pub(crate) use park::{
    current_id, try_checkpoint, try_current, try_park, try_park_timeout, try_yield_point,
};
pub(crate) use shard::clock;
pub use shard::{Config, now, run, run_with};
pub use source::Source;
pub use spawn::{spawn, spawn_episodes, try_spawn};
pub use timer::sleep;
