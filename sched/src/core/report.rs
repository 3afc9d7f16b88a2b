//! The reports of a shard about fibers that misbehave, and their destination.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::contain::contain;
use super::fiber_info::FiberInfo;
use super::tripwire::ThreadBoundWait;
use crate::fiber::Abandoned;
use crate::queued_writer::stderr;
use crate::watchdog::Stall;

/// A fault of the code that runs on a shard. `Display` says it in one line or more.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report {
    /// A fiber was abandoned: it never runs again, and its stack and everything that it holds is
    /// lost; and why.
    Abandoned(FiberInfo, Abandoned),
    /// The shard has not polled its driver for that long, which is longer than
    /// [`Config::busy_limit`](crate::Config).
    Busy(Duration),
    /// A shard that was reported as busy has come back, and has not been busy again for ten times
    /// the limit.
    Free,
    /// A fiber kept its thread for longer than [`Config::stall_limit`](crate::Config).
    Stalled(Stall),
    /// The fiber still keeps it, after [`Config::stuck_limit`](crate::Config).
    Stuck(Stall),
    /// Each of these fibers waits for the next one, and the last one for the first: for its end, or
    /// for a lock that it took. That has lasted for a while. It goes on until one of them is
    /// cancelled or passes a deadline, or until another fiber drops a lock's guard that was moved
    /// to it, which the scheduler cannot see.
    Circle(Vec<FiberInfo>),
    /// Every fiber of the shard waits for another one, and the process has no other thread that
    /// could wake any of them: they will wait for ever. These are all fibers of the shard.
    Deadlock(Vec<FiberInfo>),
    /// A fiber waits inside of a closure that ties state to its thread, such as the initialiser of
    /// a `LazyLock`; reported once for each place, if [`Config::tripwire`](crate::Config) is set.
    ThreadBoundWait(ThreadBoundWait),
}

/// The destination of reports.
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
/// sched::run_with(Config::default().with_reporter(reporter), || {
///     let stubborn = sched::spawn(|| loop {
///         let _ = std::panic::catch_unwind(sched::park);
///     });
///     sched::yield_now();
///     stubborn.cancel();
///     let _ = stubborn.join();
/// })?;
/// assert!(reports.lock().unwrap()[0].contains("was abandoned"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Reporter {
    report: Arc<dyn Fn(&Report) + Send + Sync>,
}

impl Reporter {
    /// Calls `report` with each report. Any thread may call it, also the monitor's, and never a
    /// fiber. It must not wait, because a shard or the monitor waits for it: a call of this library
    /// that would wait is an error or a panic there. If it panics, the panic goes no further.
    pub fn new(report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self { report: Arc::new(report) }
    }

    pub(crate) fn report(&self, report: &Report) {
        // The panic hook has printed its panic, and the work that was reported goes on.
        contain(|| (self.report)(report));
    }
}

impl Default for Reporter {
    /// Writes to standard error, through [`stderr`](crate::stderr).
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
            Self::Abandoned(fiber, why) => write!(f, "{fiber} was abandoned: {why}"),
            Self::Busy(time) => {
                let seconds = time.as_secs_f64();
                write!(
                    f,
                    "a shard has not polled its driver for {seconds:.1} s: fibers keep its thread"
                )
            }
            Self::Free => f.write_str("a shard that was busy polls its driver again"),
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
                f.write_str("deadlock: all fibers wait, and no thread is left to wake them")?;
                fibers.iter().try_for_each(|fiber| write!(f, "\n{fiber}"))
            }
        }
    }
}

/// How long a report may take to be written, as it may be the last output of the program.
/// Arbitrary: far more than it takes if the output is read.
const WRITE_TIME: Duration = Duration::from_millis(50);
