//! The watchdog: a thread that watches the shards for a fiber that keeps its thread.
//!
//! Nothing interrupts a fiber, so a fiber that computes, or blocks in a foreign call, keeps its
//! whole shard. The shard cannot notice; a monitor thread can. `pulse` is the state that the two
//! share. `stall` is the monitor, and `busy` its first question, which costs it two loads. `linux`
//! and `elsewhere` find out where a stuck thread stands.

mod busy;
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
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

pub(crate) use busy::CALM;
pub(crate) use pulse::Pulse;
pub use stall::{Stall, StallCause};

/// Whether the process has no thread besides the calling one, the monitor, and the thread that
/// writes to standard error; false where that cannot be found out. Threads are told apart by
/// number, as any thread may have these names.
pub(crate) fn is_only_thread() -> bool {
    let ours = [Some(os::this_thread()), stall::monitor_thread(), WRITER_OF_STDERR.number()];
    os::threads().is_some_and(|threads| threads.iter().all(|thread| ours.contains(&Some(*thread))))
}

/// Whether the calling thread runs `main`; false where that cannot be found out.
pub(crate) fn is_main_thread() -> bool {
    os::is_main_thread()
}

/// A thread of the library's own, which never wakes a fiber.
pub(crate) struct OwnThread(AtomicI32);

pub(crate) static WRITER_OF_STDERR: OwnThread = OwnThread(AtomicI32::new(OwnThread::NONE));

impl OwnThread {
    const NONE: i32 = 0;
    const BEGINS: i32 = -1;

    /// It is about to be started.
    pub(crate) fn begins(&self) {
        self.0.store(Self::BEGINS, Ordering::SeqCst);
    }

    /// It was not started.
    pub(crate) fn is_refused(&self) {
        self.0.store(Self::NONE, Ordering::SeqCst);
    }

    /// It is the calling one.
    pub(crate) fn runs(&self) {
        self.0.store(os::this_thread(), Ordering::SeqCst);
    }

    fn number(&self) -> Option<i32> {
        loop {
            match self.0.load(Ordering::SeqCst) {
                Self::NONE => return None,
                Self::BEGINS => std::thread::yield_now(), // it was started a moment ago
                number => return Some(number),
            }
        }
    }
}

/// What a signal handler may learn of the fiber on its thread.
#[derive(Clone, Copy, Debug)]
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

/// Watches the calling thread's shard until its pulse is dropped. The monitor's thread calls
/// `report` when a limit is passed. It calls `housekeep` when the shard falls quiet, and now and
/// then while it works.
pub(crate) fn watch(
    pulse: Weak<Pulse>,
    limits: Limits,
    describe: Describe,
    housekeep: impl Fn() + Send + 'static,
    report: impl Fn(Found) + Send + 'static,
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
