//! What the shards of a server have in common while it runs.

mod memory;
mod peers;

pub(crate) use memory::{Held, Memory};
pub(crate) use peers::PeerCounts;
