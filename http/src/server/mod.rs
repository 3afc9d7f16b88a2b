//! The server: its shards, and their life from bind to drain.
//!
//! `builder` collects what a server is to be and opens its sockets; `running` is the server and the
//! handle that stops it, `shared` what all its parts know, with a `slot` for each shard; `shard` is
//! the life of one thread and `state` what its connections have in common, with `accept`, its front
//! door, `sweep`, its clock for connections at rest, and `evict`, which of them makes room. When a
//! shard's thread does not come back, `lending` has another one accept in its place, and `takeover`
//! goes on without it. `metrics` is what is told of it all in numbers.

mod accept;
mod builder;
mod evict;
mod handle;
mod handler;
mod launch;
mod lending;
mod loans;
mod metrics;
mod running;
mod shard;
mod shared;
mod signals;
mod slot;
mod state;
mod sweep;
mod takeover;

pub use builder::Builder;
pub use handle::ServerHandle;
pub use handler::Handler;
pub use metrics::Metrics;
pub use running::{Server, ShutdownReport};
pub(crate) use state::{Registered, ShardState};
