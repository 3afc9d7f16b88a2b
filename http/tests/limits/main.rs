//! Limits: what clients may use of a server, how long, and how much of it at a time.

#[path = "../common/mod.rs"]
mod common;

mod capacity;
mod faults;
mod memory;
mod places;
mod slow_readers;
mod timeouts;
