//! What a service tells its service manager.

use std::fmt::{self, Write};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One thing that a service tells its service manager, see [`notify`](super::notify).
///
/// ```
/// use std::time::Duration;
/// use straightline::systemd::NotifyState;
///
/// assert_eq!(NotifyState::Ready.to_string(), "READY=1");
/// assert_eq!(NotifyState::Status("two\nlines").to_string(), "STATUS=two lines");
/// let longer = NotifyState::ExtendTimeout(Duration::from_secs(5));
/// assert_eq!(longer.to_string(), "EXTEND_TIMEOUT_USEC=5000000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyState<'s> {
    /// The service has started, or has finished a reload.
    Ready,
    /// The service begins a reload. [`Ready`](Self::Ready) has to follow. The time of the message
    /// (`MONOTONIC_USEC`), which systemd demands since version 253, goes with it.
    Reloading,
    /// The service begins to shut down.
    Stopping,
    /// A line for an operator, which `systemctl status` shows. Line breaks become spaces.
    Status(&'s str),
    /// The service is alive; see [`watchdog_timeout`](super::watchdog_timeout).
    Watchdog,
    /// The service is not well: the manager treats it as if the watchdog's time was over.
    WatchdogTrigger,
    /// The start or the stop needs more time than the manager's timeout: at least this much from
    /// now on.
    ExtendTimeout(Duration),
    /// Another process is the main process of the service from now on, by its number.
    MainPid(u32),
}

impl fmt::Display for NotifyState<'_> {
    /// As in the message, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            Self::Reloading => write!(f, "RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()),
            Self::Stopping => f.write_str("STOPPING=1"),
            Self::Status(line) => {
                f.write_str("STATUS=")?;
                // A line break would begin another assignment.
                let spaced = |c: char| if c.is_control() { ' ' } else { c };
                line.chars().map(spaced).try_for_each(|c| f.write_char(c))
            }
            Self::Watchdog => f.write_str("WATCHDOG=1"),
            Self::WatchdogTrigger => f.write_str("WATCHDOG=trigger"),
            Self::ExtendTimeout(time) => write!(f, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            Self::MainPid(number) => write!(f, "MAINPID={number}"),
        }
    }
}

/// The system's monotonic clock, which the service manager compares with its own reading.
fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
