//! The settings of a shard, with the reasons for their defaults.

use std::io;
use std::time::Duration;

use super::remains;
use super::report::Reporter;
use crate::driver::DriverKind;
use crate::fiber::pool::check_guards;
use crate::with_fields::with_fields;

/// The settings of a shard.
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let config = Config::default().with_stack_bytes(64 * 1024);
/// assert_eq!(sched::run_with(config, || "done")?, "done");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The size of a fiber's stack in bytes, rounded up to a power of two; at least 32 KiB, at most
    /// 64 GiB. Default: 256 KiB. Only the pages that a fiber touches are resident, so a generous
    /// size costs address space and nothing else.
    pub stack_bytes: usize,
    /// How long a fiber may keep the thread before that is reported, with the place where it
    /// stands. Default: one second. `None`: no report.
    pub stall_limit: Option<Duration>,
    /// How long the shard may go on without polling its driver, its timers and its mailbox. One
    /// fiber that keeps the thread can be the reason, or many fibers that keep it one after the
    /// other. A longer time is reported as [`Report::Busy`](crate::Report), and its end as
    /// [`Report::Free`](crate::Report), for a program in which another shard can take over some
    /// work. Default: `None`, no report.
    pub busy_limit: Option<Duration>,
    /// How long a fiber may keep the thread until the shard is reported as stuck
    /// ([`Report::Stuck`](crate::Report)), for a program that can start another shard. Default:
    /// `None`, no report.
    pub stuck_limit: Option<Duration>,
    /// How many fibers that other threads sent ([`ShardHandle::spawn`](crate::ShardHandle::spawn))
    /// may wait to begin; further ones are refused. Default: 65,536, some 10 MiB, which is more
    /// than a shard of a healthy program falls behind.
    pub max_sent_fibers: usize,
    /// Gets the reports of the shard. Default: prints them to standard error.
    pub reporter: Reporter,
    /// Measures how much of its stack each fiber uses, for [`stack_usage`](crate::stack_usage).
    /// Default: `false`, because it takes some 10 µs for each fiber that ends, and as much for each
    /// that begins. Meant for a trial run in which sizes are chosen.
    pub stack_usage: bool,
    /// Checks where fibers wait, and reports each place that is inside of a closure that ties state
    /// to the thread ([`Report::ThreadBoundWait`](crate::Report)). Default: whether the environment
    /// variable `STRAIGHTLINE_TRIPWIRE` is `1`. Meant for tests and trial runs: it takes some 15 µs
    /// for each place of waiting now and then, a second or so at the first one, when it reads the
    /// debug information, and the memory for that information. A program without debug information
    /// (`debug = "line-tables-only"` is enough) shows only calls that were not inlined.
    pub tripwire: bool,
    /// How the shard learns which descriptors are ready. Default: `None`, which means the value of
    /// the environment variable `STRAIGHTLINE_DRIVER` (`epoll` or `polling`), or the system's own
    /// driver where that is not set: [`DriverKind::Epoll`] on Linux, [`DriverKind::Polling`]
    /// elsewhere. A kind that this system does not have, and an unknown value, is an error of
    /// [`run`](crate::run) and [`spawn_shard`](crate::spawn_shard). A [simulation](crate::sim) has
    /// a driver of its own.
    pub driver: Option<DriverKind>,
}

with_fields! { Config {
    with_stack_bytes: stack_bytes: usize,
    with_stall_limit: stall_limit: Option<Duration>,
    with_busy_limit: busy_limit: Option<Duration>,
    with_stuck_limit: stuck_limit: Option<Duration>,
    with_max_sent_fibers: max_sent_fibers: usize,
    with_reporter: reporter: Reporter,
    with_stack_usage: stack_usage: bool,
    with_tripwire: tripwire: bool,
    with_driver: driver: Option<DriverKind>,
} }

impl Config {
    /// Checks whether a shard of this configuration can start here: that the driver exists, and
    /// that the variables `STRAIGHTLINE_DRIVER`, `STRAIGHTLINE_STACK_GUARDS` and
    /// `STRAIGHTLINE_THREAD_END`, where they count, have values that exist. A program that opens
    /// sockets before it starts its shards finds such a mistake before them.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a variable has an unknown value, `Unsupported` if this system does not
    /// have what the value names. The message has the variable and its possible values.
    ///
    /// ```
    /// use straightline_sched::{Config, DriverKind};
    ///
    /// let config = Config::default().with_driver(Some(DriverKind::Polling));
    /// config.check()?; // each system has that one
    /// # std::io::Result::Ok(())
    /// ```
    pub fn check(&self) -> io::Result<()> {
        DriverKind::resolve(self.driver)?;
        check_guards()?;
        remains::check_guard()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stack_bytes: 256 * 1024,
            stall_limit: Some(Duration::from_secs(1)),
            busy_limit: None,
            stuck_limit: None,
            max_sent_fibers: 65_536,
            reporter: Reporter::default(),
            stack_usage: false,
            tripwire: std::env::var_os("STRAIGHTLINE_TRIPWIRE").is_some_and(|value| value == "1"),
            driver: None,
        }
    }
}
