//! What the shards of a server share while it runs, and how the program reaches it from outside.
//!
//! From the top down, and each file knows only files below it: `handle` is the program's way to a
//! server, `metrics` its numbers, `shard_part` the way to the shard that a handle is used on (with
//! `background`, the fibers that handlers leave behind, and `connection_end`), and `shared` the
//! server itself, without its handler. `shared` consists of the `shards` with a `slot` for each,
//! the `loans` of their sockets (`listener`, `socket_file`), the `renewals` after panics, the
//! limits that hold for all shards together (`memory`, `peers`), and the progress of the
//! `shutdown`. `listing` is what an operator sees of the fibers.
//!
//! No file here knows a request or a handler, so a request and a handler may hold a `ServerHandle`.

mod background;
mod connection_end;
mod handle;
mod listener;
mod listing;
mod loans;
mod memory;
mod metrics;
mod peers;
mod renewals;
mod shard_part;
mod shards;
mod shared;
mod shutdown;
mod slot;
mod socket_file;

pub(crate) use background::Background;
pub use connection_end::ConnectionEnd;
pub use handle::ServerHandle;
pub(crate) use listener::{Listener, OpenPorts, Port, open_all};
pub(crate) use listing::{BACKTRACES_MAX, listing};
pub(crate) use loans::OpenLoans;
pub(crate) use memory::{Held, Memory};
pub use metrics::Metrics;
pub(crate) use shard_part::ShardPart;
pub(crate) use shared::Shared;
pub(crate) use slot::{Handed, Loan, Slot};
