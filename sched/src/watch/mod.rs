//! Watching shards from outside: who keeps the thread and does not give it back.
//!
//! Nothing interrupts a fiber, so one that computes, or blocks in a foreign call, keeps its whole
//! shard. The shard cannot tell; a monitor thread can. `pulse` is what the two share, `stall` the
//! monitor, and `busy` its first question, which costs it two loads; `linux` and `elsewhere` are
//! how it learns where the stuck thread stands.

mod busy;
mod pulse;
mod stall;

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
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

/// Whether the process has no thread but the calling one, the monitor, and the one that writes to
/// standard error; false where that cannot be found out. By their numbers: any thread may have
/// their names.
pub(crate) fn is_only_thread() -> bool {
    let ours = [Some(os::this_thread()), stall::monitor_thread(), WRITER_OF_STDERR.number()];
    os::threads().is_some_and(|threads| threads.iter().all(|thread| ours.contains(&Some(*thread))))
}

/// Whether the calling thread is the one that runs `main`; false where that cannot be found out.
pub(crate) fn is_main_thread() -> bool {
    os::is_main_thread()
}

/// A thread of the library's, which is nobody who could wake a fiber.
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

/// What a signal handler may learn of the fiber that runs on its thread.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(any(target_os = "macos", target_os = "freebsd"), allow(dead_code))] // no handler asks
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

/// Watches the calling thread's shard until its pulse is dropped. On the monitor's thread `report`
/// is called with what passes a limit; and `housekeep` when the shard falls quiet, and now and then
/// while it does not.
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
