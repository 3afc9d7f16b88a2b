//! What the monitor reports of a fiber that keeps its thread, and what it finds out for that.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::fiber::backtrace::Backtrace;

/// A fiber kept its thread for too long: no other fiber of its shard has run meanwhile.
///
/// `Display` writes one line, followed by the backtrace.
///
/// ```
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use straightline_sched::{self as sched, Config, Report, Reporter};
///
/// let (sender, stalls) = mpsc::channel();
/// let reporter = Reporter::new(move |report| {
///     if let Report::Stalled(stall) = report {
///         let _ = sender.send(stall.clone());
///     }
/// });
/// let limit = Duration::from_millis(20);
/// let config = Config::default().with_stall_limit(Some(limit)).with_reporter(reporter);
/// sched::run_with(config, move || {
///     let stall = stalls.recv().unwrap(); // std's channel: this blocks the thread
///     assert!(stall.held_for >= limit);
///     println!("{:?} {}", stall.name, stall.cause);
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The fiber's name, if it has one; the first 64 bytes. This field and the others about the
    /// fiber are empty where the thread could not be sampled, see [`crate::guide::hazards`]: in
    /// most system calls the fiber would notice a signal.
    pub name: Option<String>,
    /// The fiber's own words for what it does, see [`Label`](crate::Label).
    pub label: Option<String>,
    /// The call that started the fiber.
    pub spawned_at: Option<&'static Location<'static>>,
    /// How long it had kept the thread when the monitor found it.
    pub held_for: Duration,
    /// What the thread does.
    pub cause: StallCause,
    /// Where the thread stands, innermost call first; empty if it could not be found out.
    pub backtrace: Backtrace,
}

/// What a thread does that does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallCause {
    /// It computes.
    Computes,
    /// It waits for a lock of another crate, perhaps one of `std::sync` that another fiber of the
    /// same thread holds across a wait: then it waits for ever.
    ForeignLock,
    /// It waits in another system call; the number, where it is known.
    SystemCall(Option<i64>),
    /// The system does not tell it.
    Unknown,
}

/// What a thread does, and whether a signal would disturb it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    pub(super) cause: StallCause,
    /// The processor time that it has used, if it runs.
    pub(super) user_ticks: Option<u64>,
    /// Its system call goes on after a signal as if there had been none.
    pub(super) is_restarted: bool,
}

impl Activity {
    /// Whether it runs, and has used processor time since it had used that much.
    pub(super) fn has_computed_since(self, user_ticks: Option<u64>) -> bool {
        let ticks = self.user_ticks.zip(user_ticks);
        self.cause == StallCause::Computes && ticks.is_some_and(|(now, before)| now > before)
    }
}

/// A stuck thread's fiber and the return addresses of its stack.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) spawned_at: Option<&'static Location<'static>>,
    pub(super) name: Option<String>,
    pub(super) label: Option<String>,
    pub(super) frames: Vec<usize>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.spawned_at) {
            (Some(name), Some(at)) => {
                write!(f, "fiber `{}` (spawned at {at})", name.escape_debug())?;
            }
            (None, Some(at)) => write!(f, "the fiber spawned at {at}")?,
            _ => f.write_str("a fiber")?,
        }
        if let Some(label) = &self.label {
            write!(f, ", at `{}`,", label.escape_debug())?;
        }
        let seconds = self.held_for.as_secs_f64();
        write!(f, " has kept its thread for {seconds:.1} s and {}", self.cause)?;
        if !self.backtrace.is_empty() {
            write!(f, "\n{}", self.backtrace)?;
        }
        Ok(())
    }
}

impl fmt::Display for StallCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computes => f.write_str(
                "computes: no other fiber runs meanwhile; call `checkpoint` in its loops, or \
                 `offload` the work",
            ),
            Self::ForeignLock => f.write_str(
                "waits for a lock that is not a fiber's, perhaps one of std::sync that another \
                 fiber of the same thread holds across a wait: use \
                 `straightline::sched::sync::Mutex`",
            ),
            Self::SystemCall(Some(number)) => {
                write!(f, "blocks the thread in system call {number}: `offload` it")
            }
            Self::Unknown => f.write_str("computes, or blocks the thread in the system"),
            Self::SystemCall(None) => f.write_str("blocks the thread in the system: `offload` it"),
        }
    }
}
