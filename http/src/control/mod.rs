//! What the shards of a server have in common while it runs, and what tells of it from outside.
//!
//! `shared` is all of it: a `slot` for each shard, with its sockets (`listener`, `socket_file`),
//! the `loans` of those, and the bounds that hold for all shards together (`memory`, `peers`).
//! `handle` is the program's way to it, `metrics` its numbers. Nothing here knows a request or a
//! handler, so both may know a `ServerHandle`.

mod handle;
mod listener;
mod loans;
mod memory;
mod metrics;
mod peers;
mod shards;
mod shared;
mod shutdown;
mod slot;
mod socket_file;

pub use handle::ServerHandle;
pub(crate) use listener::{Listener, open_all};
pub(crate) use loans::OpenLoans;
pub(crate) use memory::{Held, Memory};
pub use metrics::Metrics;
pub(crate) use shared::Shared;
pub(crate) use slot::{Handed, Loan, Slot};
