//! Watching shards from outside: who keeps the thread and does not give it back.
//!
//! Nothing interrupts a fiber, so one that computes, or blocks in a foreign call, keeps its whole
//! shard. The shard cannot tell; a monitor thread can. `pulse` is what the two share, `stall` the
//! monitor; `linux` and `elsewhere` are how it learns where the stuck thread stands.

mod pulse;
mod stall;

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod os;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod os;

use std::panic::Location;
use std::sync::Weak;
use std::time::Duration;

pub(crate) use pulse::Pulse;
pub use stall::{Stall, StallCause};

/// Whether the process has no thread but the calling one, the monitor, and the one that writes to
/// standard error; false where that cannot be found out.
pub(crate) fn is_only_thread() -> bool {
    os::thread_names().is_some_and(|names| {
        let is_ours = |name: &&String| OWN_NAMES.iter().any(|own| name.starts_with(own));
        names.iter().filter(|name| !is_ours(name)).count() == 1
    })
}

/// As much of their names as the system keeps.
const OWN_NAMES: [&str; 2] = ["straightline-wa", "straightline-wr"];

/// What a signal handler may learn of the fiber that runs on its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a> {
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a str>,
    pub(crate) label: &'a [u8],
}

/// How long a fiber may keep its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until that is reported.
    pub(crate) stall: Option<Duration>,
    /// Until it is given up waiting for.
    pub(crate) stuck: Option<Duration>,
}

/// Calls the function that it is given with the running fiber, if there is one. It must be safe to
/// call in a signal handler.
pub(crate) type Describe = fn(&mut dyn FnMut(Running<'_>));

/// Watches the calling thread's shard until its pulse is dropped. On the monitor's thread `report`
/// is called for each fiber that runs for longer than the limits, with whether it is the second
/// one; and `housekeep` when the shard falls quiet, and now and then while it does not.
pub(crate) fn watch(
    pulse: Weak<Pulse>,
    limits: Limits,
    describe: Describe,
    housekeep: impl Fn() + Send + 'static,
    report: impl Fn(Stall, bool) + Send + 'static,
) {
    os::set_describe(describe);
    stall::watch(stall::Watched {
        pulse,
        thread: os::this_thread(),
        limits,
        housekeep: Box::new(housekeep),
        report: Box::new(report),
    });
}
