//! The server: its shards, and their life from bind to drain.
//!
//! From the top down, and each file knows only files below it: `builder` collects the settings of a
//! server, and `plan` opens its sockets; `running` is the server until its end (`shutdown_report`),
//! and `launch` starts its shards; `guests` are other servers on these shards, and `local` is a
//! server on the caller's shard, without threads. `shard` is the life of one thread, `accept`
//! accepts its connections, `serve_stream` gets them from the program, `beginning` is the stream of
//! a new one, with TLS if the server has it, and `state` is the shard's data: the open connections
//! (`connections`, each an `entry`), which connection makes room for a new one (`evict`), which
//! have been idle for too long (`idle_reaper`), and the answer to rejected clients (`reject`).
//!
//! If a shard's thread does not return, `lending` lets another shard accept in its place, and
//! `shard_replacement` replaces a stuck shard. `signals` handles the operator's signals, `handler`
//! is the program's code.

mod accept;
mod beginning;
mod builder;
mod connections;
mod entry;
mod evict;
mod guests;
mod handler;
mod idle_reaper;
mod launch;
mod lending;
mod local;
mod plan;
mod reject;
mod running;
mod serve_stream;
mod shard;
mod shard_replacement;
mod shutdown_report;
mod signals;
mod state;

pub use builder::ServerBuilder;
pub use handler::{Handler, Shareable};
pub use local::LocalServer;
pub use running::Server;
pub use shutdown_report::ShutdownReport;
