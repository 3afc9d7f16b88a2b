//! What a server is told before it runs: addresses, bounds, times, and the words for them.
//!
//! Values only: nothing here knows a fiber or a connection. What the bounds are by default depends
//! on the machine: `descriptors` and `memory_limit` ask the system for it.

mod address;
mod capacity;
mod descriptors;
mod memory_limit;
mod phase;
mod policy;
mod server_config;
mod timeouts;

pub use address::{Address, IntoAddress, Peer};
pub use capacity::{Capacity, Full, WhenFull};
pub(crate) use descriptors::{Descriptors, connections_for, raise_limit};
pub use phase::Phase;
pub use policy::{AllStuck, OnDisconnect};
pub(crate) use server_config::Config;
pub use timeouts::{Pace, Timeout, Timeouts};
