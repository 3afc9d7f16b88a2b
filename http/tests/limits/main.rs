//! Limits: what clients may use of a server, for how long, and how much at the same time.

#[path = "../common/mod.rs"]
mod common;

mod capacity;
mod faults;
mod memory;
mod places;
mod slow_readers;
mod timeouts;
