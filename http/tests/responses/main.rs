//! Responses: what handlers answer, stream, or make of a connection.

#[path = "../common/mod.rs"]
mod common;

mod panics;
mod serving;
mod streams;
mod streams_that_fail;
mod streams_under_fire;
mod upgrades;
