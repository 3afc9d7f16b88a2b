//! What a shard and the monitor have to say to each other.

use std::panic::Location;
use std::time::Duration;

use super::stall::Stall;

/// What a signal handler may learn of the fiber that runs on its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a> {
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a str>,
    pub(crate) label: &'a [u8],
}

/// How long a fiber may keep its thread, and a shard its eyes shut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until a fiber that keeps the thread is reported.
    pub(crate) stall: Option<Duration>,
    /// Until a shard that does not ask what is new is reported, whatever keeps it.
    pub(crate) busy: Option<Duration>,
    /// Until a fiber that keeps the thread is given up waiting for.
    pub(crate) stuck: Option<Duration>,
}

/// What the monitor has found out about a shard.
#[derive(Debug)]
pub(crate) enum Found {
    /// A fiber has kept the thread for longer than the first limit.
    Stalled(Stall),
    /// It still does, after the last one.
    Stuck(Stall),
    /// The shard has not asked what is new for so long.
    Busy(Duration),
    /// It was busy, and has asked in time for a while.
    Free,
}

/// Calls the function that it is given with the running fiber, if there is one. It must be safe to
/// call in a signal handler.
pub(crate) type Describe = fn(&mut dyn FnMut(Running<'_>));
