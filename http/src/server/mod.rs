//! The server: its shards, and their life from bind to drain.
//!
//! `builder` collects what a server is to be and opens its sockets; `running` is the server, and
//! `launch` what starts its shards; `shard` is the life of one thread and `state` what its
//! connections have in common, with `accept`, its front door, `sweep`, its clock for connections at
//! rest, and `evict`, which of them makes room. When a shard's thread does not come back, `lending`
//! has another one accept in its place, and `takeover` goes on without it.

mod accept;
mod builder;
mod connections;
mod entry;
mod evict;
mod handler;
mod launch;
mod lending;
mod reject;
mod running;
mod shard;
mod shutdown_report;
mod signals;
mod state;
mod sweep;
mod takeover;

pub use builder::Builder;
pub use handler::Handler;
pub use running::Server;
pub use shutdown_report::ShutdownReport;
