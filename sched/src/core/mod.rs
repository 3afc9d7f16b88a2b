//! The scheduler: it decides which fiber runs next, and keeps what each parked fiber waits for.
//!
//! An hourglass. Below is data that knows no shard. The waist is `shard`, the record. Above are
//! verbs, each of which uses the record and lower verbs. From the bottom up:
//! - words: `fiber_info`, `report` with `tripwire`, `config`, `counters`; `contain` calls the
//!   user's code on the shard's own stack; `remains` keeps a thread that has lost frames;
//! - data, each the owner of one part of a shard: `clock`, `fibers`, `run_queue` with `fairness`,
//!   `timers`, `source_state`, `stacks`, `inbox` on `mailbox` and its `message_queue`, `mailboxes`,
//!   `shard_values`, `circles`, `abandoned_fibers`;
//! - the waist: `shard`, and `local`, which is the shard of the running thread;
//! - reaching a fiber: `wake`, `elsewhere` (from another shard of the thread), `home` (from any
//!   thread), `timer`, `sources`; `time` has the user's calls that read the clock;
//! - giving the thread back: `yield_point`, `before_park`, `on_switch`, `park`, and on them
//!   `checkpoint`, `sleep` and `source`;
//! - bounds: `deadline`, `lease`; inspection: `inspect`, `deadlock`, `check_wait`, `monitor`, and
//!   `handle`, for other threads;
//! - a fiber's life: `fiber_local`, `children`, `abandon`, `join`, `spawn`, and `scope`;
//! - a shard's life: `messages`, `turn`, `end`, and at the top `run`.
//!
//! A shard shares with other threads only its mailbox, and its counters and its pulse, which they
//! only read. So a request takes no lock, and executes no locked instruction.

mod abandon;
mod abandoned_fibers;
mod before_park;
mod check_wait;
mod checkpoint;
mod children;
mod circles;
mod clock;
mod config;
mod contain;
mod counters;
mod deadline;
mod deadlock;
mod elsewhere;
mod end;
mod fairness;
mod fiber_info;
mod fiber_local;
mod fibers;
mod handle;
mod home;
mod inbox;
mod inspect;
mod join;
mod lease;
mod local;
mod mailbox;
mod mailboxes;
mod message_queue;
mod messages;
mod monitor;
mod on_switch;
mod park;
mod remains;
mod report;
mod run;
mod run_queue;
mod scope;
mod shard;
mod shard_values;
mod sleep;
mod source;
mod source_state;
mod sources;
mod spawn;
mod stacks;
mod time;
mod timer;
mod timers;
mod tripwire;
mod turn;
mod wait_for_armed;
mod wake;
mod yield_point;

pub use before_park::{BeforePark, before_park};
pub(crate) use check_wait::look_at_wait;
pub(crate) use checkpoint::{charge, try_checkpoint};
pub use checkpoint::{checkpoint, poll_checkpoint};
pub use config::Config;
pub(crate) use contain::discard;
pub use counters::{StatKind, Stats, note_unwound_write};
pub use deadline::{DeadlineExceeded, deadline, remaining, uncancellable};
pub(crate) use deadlock::{may_close_circle, record_circle};
pub(crate) use end::{begin_end, end_if_over};
pub(crate) use fiber_info::label;
pub use fiber_info::{FiberInfo, FiberState};
pub use fiber_local::{FiberLocal, with_own_locals, with_own_locals_or_end};
pub use handle::ShardHandle;
pub(crate) use home::Home;
pub(crate) use inspect::{describe, list_fibers};
pub use inspect::{inspect, inspect_with_backtraces, set_label, stack_usage, stats};
pub use join::{JoinError, JoinHandle};
pub use lease::Lease;
pub(crate) use local::{enter, is_on_a_shard, shard_id, try_shard_id, with};
pub use mailbox::SpawnError;
pub use on_switch::{OnSwitch, on_switch};
pub(crate) use park::{has_hook, try_before_wait, try_park, try_park_until};
pub use park::{park, park_timeout, yield_now};
pub(crate) use remains::is_kept as is_thread_kept;
pub use report::{Report, Reporter};
pub(crate) use run::run_on;
pub use run::{run, run_with};
pub use scope::{Scope, TryScope, scope, try_scope};
pub(crate) use shard::Shard;
pub use sleep::sleep;
pub(crate) use source::AnySource;
pub use source::Source;
pub use sources::driver_kind;
pub(crate) use spawn::spawn_on;
pub use spawn::{FiberBuilder, spawn, spawn_stackless};
pub use time::{ShardTime, now, random_u64, system_time, turn_start};
pub use tripwire::ThreadBoundWait;
pub(crate) use turn::{poll_driver, resume};
pub use wait_for_armed::wait_for_armed;
pub(crate) use wake::current_id;
pub use wake::{Fiber, current, try_current, wake_at, wake_later};
pub use yield_point::Unwinding;
pub(crate) use yield_point::{is_to_end, is_unwinding, may_block_thread};
