//! Handlers that keep their thread, and how other shards take over meanwhile.

#[path = "../common/mod.rs"]
mod common;

mod lending;
mod stuck;
