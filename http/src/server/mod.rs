//! The server: addresses, shards, and their life from bind to drain.
//!
//! `builder` collects what a server is to be and opens its sockets; `running` is the server and the
//! handle that stops it, `shared` what all its parts know, with a `slot` for each shard; `shard` is
//! what one thread does, with `accept`, its front door, `sweep`, its clock for connections at rest,
//! and `evict`, which of them makes room. When a shard's thread does not come back, `lending` has
//! another one accept in its place, and `takeover` goes on without it. `timeouts`, `capacity`,
//! `memory` and `descriptors` are the bounds; `events`, `log`, `counters`, `metrics` and
//! `access_log` what is told of it all.

mod accept;
mod access_log;
mod address;
mod builder;
mod capacity;
mod counters;
mod descriptors;
mod events;
mod evict;
mod lending;
mod log;
mod memory;
mod metrics;
mod panics;
mod running;
mod shard;
mod shared;
mod signals;
mod slot;
mod socket_file;
mod sweep;
mod takeover;
mod timeouts;

pub use address::{Address, IntoAddress, Peer};
pub use builder::{AllStuck, Builder, Handler, OnDisconnect};
pub use capacity::{Capacity, Full, WhenFull};
pub use counters::Counters;
pub use events::{Event, Hooks};
pub use log::LogHooks;
pub(crate) use memory::{Held, Memory};
pub use metrics::Metrics;
pub(crate) use panics::take_place;
pub use running::{Server, ServerHandle, ShutdownReport};
pub(crate) use shard::{Registered, ShardState};
pub use shared::Phase;
pub use timeouts::{Pace, Timeout, Timeouts};
