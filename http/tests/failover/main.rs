//! Handlers that keep their thread, and what other shards do then.

#[path = "../common/mod.rs"]
mod common;

mod lending;
mod stuck;
