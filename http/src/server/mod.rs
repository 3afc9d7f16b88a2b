//! The server: addresses, shards, and their life from bind to drain.
//!
//! `builder` collects what a server is to be and opens its sockets; `running` is the server and the
//! handle that stops it; `shard` is what one thread does, `accept` its front door,
//! `hooks` what it tells of.

mod accept;
mod address;
mod builder;
mod counters;
mod hooks;
mod running;
mod shard;
mod signals;

pub use address::{Address, IntoAddress, Peer};
pub use builder::{Builder, Handler};
pub use counters::Counters;
pub use hooks::Hooks;
pub use running::{Server, ServerHandle};
pub(crate) use shard::{Registered, ShardState};
