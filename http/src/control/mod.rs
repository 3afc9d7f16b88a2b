//! What the shards of a server have in common while it runs.

mod listener;
mod memory;
mod peers;
mod socket_file;

pub(crate) use listener::{Listener, open_all};
pub(crate) use memory::{Held, Memory};
pub(crate) use peers::PeerCounts;
pub(crate) use socket_file::SocketFile;
