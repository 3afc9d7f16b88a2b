//! The watchdog: a thread that watches the shards for a fiber that keeps its thread.
//!
//! Nothing interrupts a fiber, so a fiber that computes, or blocks in a foreign call, keeps its
//! whole shard. The shard cannot notice; a monitor thread can. `pulse` is the state that the two
//! share; `stall` and `found` are what the monitor reports. `busy` is its first question, which
//! costs it two loads. `linux` and `elsewhere` find out where a stuck thread stands. On them stand
//! `monitor`, which is the thread, and `threads`, which knows the library's threads from the
//! others.

mod busy;
mod found;
mod monitor;
mod pulse;
mod stall;
mod threads;

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
#[path = "elsewhere.rs"]
mod os;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod os;

pub(crate) use busy::CALM;
pub(crate) use found::{Found, Limits, Running};
pub(crate) use monitor::watch;
pub(crate) use pulse::Pulse;
pub use stall::{Stall, StallCause};
pub(crate) use threads::{OwnThread, WRITER_OF_STDERR, is_main_thread, is_only_thread};
