//! Responses: what handlers answer or stream, and connections that they upgrade.

#[path = "../common/mod.rs"]
mod common;

mod event_streams;
mod event_streams_that_end;
mod files;
mod panics;
mod redirects;
mod serving;
mod streams;
mod streams_that_fail;
mod streams_under_fire;
mod upgrades;
