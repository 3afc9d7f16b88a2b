//! The messages between a shard and the monitor.

use std::panic::Location;
use std::time::Duration;

use super::stall::Stall;

/// What a signal handler may learn of the fiber on its thread.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(any(target_os = "macos", target_os = "freebsd"), allow(dead_code))] // no handler asks
pub(crate) struct Running<'a> {
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a str>,
    pub(crate) label: &'a [u8],
}

/// How long a fiber may keep its thread, and how long a shard may not poll its driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// After this time a fiber that keeps the thread is reported.
    pub(crate) stall: Option<Duration>,
    /// After this time a shard that does not poll its driver is reported, whatever the reason.
    pub(crate) busy: Option<Duration>,
    /// After this time a fiber that keeps the thread is not waited for any more.
    pub(crate) stuck: Option<Duration>,
}

/// What the monitor reports of a shard.
#[derive(Debug)]
pub(crate) enum Found {
    /// A fiber has kept the thread for longer than the first limit.
    Stalled(Stall),
    /// The fiber still keeps it after the last limit.
    Stuck(Stall),
    /// The shard has not polled its driver for that long.
    Busy(Duration),
    /// The shard was busy, and has polled its driver in time for a while.
    Free,
}

/// Calls its argument with the running fiber, if there is one. It must be safe to call in a signal
/// handler.
pub(crate) type Describe = fn(&mut dyn FnMut(Running<'_>));
