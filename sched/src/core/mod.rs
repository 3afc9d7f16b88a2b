//! The scheduler: who runs next, and what a parked fiber waits for.
//!
//! `shard` owns everything and turns; the other files are one verb or one thing each:
//! - waiting: `park` (give the thread back, be woken), `timer` (sleep, and the one alarm of each
//!   fiber), `source` with `sources` and `source_state` (wait for a descriptor), `before_park`;
//! - a fiber's life: `spawn`, `join`, `scope`, `deadline`, `fiber_local`, and `end` with
//!   `remains`; `shard_local` is what they share;
//! - other threads: `mailbox` (what they may ask for) and its `letterbox`; other shards of the same
//!   thread: `elsewhere`;
//! - looking inside: `inspect`, `counters`, `report`, `tripwire`, and `stacks` with the census;
//! - `local`: the shard of the running thread; `config`: what a shard is made with; `contain`: code
//!   of the user's on the shard's own stack.
//!
//! Nothing in a shard is shared with another thread but its mailbox, and its counters and its
//! pulse, which others only read. So there is no lock and no locked instruction on the way of a
//! request.

mod before_park;
mod checkpoint;
mod config;
mod contain;
mod counters;
mod deadline;
mod deadlock;
mod elsewhere;
mod end;
mod fiber_local;
mod inspect;
mod join;
mod lease;
mod letterbox;
mod local;
mod mailbox;
mod park;
mod remains;
mod report;
mod scope;
mod shard;
mod shard_local;
mod source;
mod source_state;
mod sources;
mod spawn;
mod stacks;
mod timer;
mod tripwire;

pub use before_park::{BeforePark, before_park};
pub(crate) use checkpoint::{charge, try_checkpoint};
pub use checkpoint::{checkpoint, poll_checkpoint};
pub use config::Config;
pub(crate) use contain::discard;
pub use counters::{Stats, note_unwound_write, stats};
pub use deadline::{DeadlineExceeded, deadline, remaining, uncancellable};
pub(crate) use deadlock::{may_close_circle, note_circle};
pub use fiber_local::{FiberLocal, with_own_locals};
pub(crate) use inspect::label;
pub use inspect::{FiberInfo, FiberState, inspect, inspect_with_backtraces, set_label};
pub use join::{JoinError, JoinHandle};
pub use lease::Lease;
pub(crate) use local::{enter, is_on_a_shard, shard_id};
pub use mailbox::{Handle, SpawnError};
pub use park::{Fiber, Unwinding, current, park, park_timeout, wake_later, yield_now};
pub(crate) use park::{
    current_id, has_hook, is_to_end, is_unwinding, may_block_thread, try_before_wait, try_current,
    try_park, try_park_until,
};
pub(crate) use remains::is_kept as is_thread_kept;
pub use report::{Report, Reporter};
pub use scope::{Scope, TryScope, scope, try_scope};
pub(crate) use shard::Shard;
pub use shard::{clock, now, random_u64, run, run_with, system_time};
pub use shard_local::ShardLocal;
pub use source::{Source, wait_for_armed};
pub use sources::driver_kind;
pub use spawn::{Builder, spawn, spawn_episodes};
pub use stacks::stack_census;
pub use timer::sleep;
pub use tripwire::ThreadBoundWait;
