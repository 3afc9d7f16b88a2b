//! Handlers that keep their thread or panic, and how other shards take over.

#[path = "../common/mod.rs"]
mod common;

mod lending;
mod renewal;
mod stuck;
