//! A pool of connections for the fibers of one shard.
//!
//! `places` is the pool as plain data; `shared` hands out connections in order and starts the
//! fibers that make and repair them; `handle` is what a program has; a [`Manager`] knows what a
//! connection is.

mod apart;
mod config;
mod handle;
mod manager;
mod places;
mod shared;
mod stats;

pub use config::PoolConfig;
pub use handle::{Pool, Pooled};
pub use manager::{Manager, Returned};
pub use stats::PoolStats;
