//! The server: its shards, and their life from bind to drain.
//!
//! From the top down, and each file knows only files below it: `builder` collects what a server is
//! to be and opens its sockets; `running` is the server until its end (`shutdown_report`), and
//! `launch` starts its shards. `shard` is the life of one thread, `accept` lets its connections in,
//! and `state` is what it has of them: which are open (`connections`, each an `entry`), which of
//! them makes room for another (`evict`), which have rested for too long (`idle_reaper`), and what
//! the clients are told that it does not take (`reject`).
//!
//! If a shard's thread does not come back, `lending` has another shard accept in its place, and
//! `shard_replacement` goes on without it. `signals` is the operator's way in, `handler` what the
//! program gives.

mod accept;
mod builder;
mod connections;
mod entry;
mod evict;
mod handler;
mod idle_reaper;
mod launch;
mod lending;
mod reject;
mod running;
mod shard;
mod shard_replacement;
mod shutdown_report;
mod signals;
mod state;

pub use builder::Builder;
pub use handler::Handler;
pub use running::Server;
pub use shutdown_report::ShutdownReport;
