//! What a shard has to say of a fiber that misbehaves, and to whom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::contain::contain;
use super::fiber_info::FiberInfo;
use super::tripwire::ThreadBoundWait;
use crate::fiber::GivenUp;
use crate::queued_writer::stderr;
use crate::watch::Stall;

/// Something is wrong with the code that runs on a shard. `Display` says it in a line or more.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report {
    /// A fiber never runs again, and its stack and all that it holds are lost; and why.
    GivenUp(FiberInfo, GivenUp),
    /// The shard has not asked what is new for so long, which is longer than
    /// [`Config::busy_limit`](crate::Config).
    Busy(Duration),
    /// A shard that was told as busy has come back, and has not been busy again for ten times the
    /// limit.
    Free,
    /// A fiber kept its thread for longer than [`Config::stall_limit`](crate::Config).
    Stalled(Stall),
    /// It still does, after [`Config::stuck_limit`](crate::Config).
    Stuck(Stall),
    /// Each of these fibers waits for the next one, and the last for the first: for its end, or for
    /// a lock that it took. That has lasted for a while, and goes on until one of them is cancelled
    /// or passes a deadline; or until a lock's guard is dropped that was handed to another fiber,
    /// which the scheduler cannot see.
    Circle(Vec<FiberInfo>),
    /// Every fiber of the shard waits for another one, and the process has no other thread that
    /// could wake any: they will wait for ever. These are all of them.
    Deadlock(Vec<FiberInfo>),
    /// A fiber waits inside of a closure that ties state to its thread, such as the initialiser of
    /// a `LazyLock`; told once for each place, if [`Config::tripwire`](crate::Config) is set.
    ThreadBoundWait(ThreadBoundWait),
}

/// Where reports go.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use straightline_sched::{self as sched, Config, Reporter};
///
/// let reports = Arc::new(Mutex::new(Vec::new()));
/// let reporter = Reporter::new({
///     let reports = Arc::clone(&reports);
///     move |report| reports.lock().unwrap().push(report.to_string())
/// });
/// sched::run_with(Config { reporter, ..Config::default() }, || {
///     let stubborn = sched::spawn(|| loop {
///         let _ = std::panic::catch_unwind(sched::park);
///     });
///     sched::yield_now();
///     stubborn.cancel();
///     let _ = stubborn.join();
/// })?;
/// assert!(reports.lock().unwrap()[0].contains("was given up"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Reporter {
    report: Arc<dyn Fn(&Report) + Send + Sync>,
}

impl Reporter {
    /// Has `report` called with each report. It may be called from any thread, also from one that
    /// watches the shards, and never on a fiber. It must not wait, because a shard or the watch
    /// waits for it: what waits in this library is an error or a panic there. If it panics, the
    /// panic goes no further.
    pub fn new(report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self { report: Arc::new(report) }
    }

    pub(crate) fn report(&self, report: &Report) {
        // Its panic has been printed by the hook, and is no reason not to go on with what is told.
        contain(|| (self.report)(report));
    }
}

impl Default for Reporter {
    /// Writes to standard error, by [`stderr`](crate::stderr).
    fn default() -> Self {
        Self::new(|report| {
            stderr().put_through(format!("straightline: {report}\n"), WRITE_TIME);
        })
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GivenUp(fiber, why) => write!(f, "{fiber} was given up: {why}"),
            Self::Busy(time) => {
                let seconds = time.as_secs_f64();
                write!(f, "a shard has not asked for what is new for {seconds:.1} s")
            }
            Self::Free => f.write_str("a shard that was busy asks for what is new again"),
            Self::Stalled(stall) | Self::Stuck(stall) => stall.fmt(f),
            Self::ThreadBoundWait(wait) => wait.fmt(f),
            Self::Circle(fibers) => {
                f.write_str(match fibers.len() {
                    1 => "deadlock: a fiber waits for what it took itself",
                    _ => "deadlock: fibers wait for each other in a circle",
                })?;
                f.write_str(", unless the guard of a lock has moved to another fiber")?;
                fibers.iter().try_for_each(|fiber| write!(f, "\n{fiber}"))
            }
            Self::Deadlock(fibers) => {
                f.write_str("deadlock: all fibers wait, and nobody is left to wake them")?;
                fibers.iter().try_for_each(|fiber| write!(f, "\n{fiber}"))
            }
        }
    }
}

/// How long a report may take to leave, as it may be the last thing that the program says.
/// Arbitrary: far more than it takes if anybody reads.
const WRITE_TIME: Duration = Duration::from_millis(50);
