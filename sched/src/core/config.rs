//! What a shard is made with: its settings, and why their defaults are what they are.

use std::time::Duration;

use super::report::Reporter;
use crate::driver::DriverKind;

/// What a shard is made with.
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let config = Config { stack_bytes: 64 * 1024, ..Config::default() };
/// assert_eq!(sched::run_with(config, || "done")?, "done");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The size of a fiber's stack in bytes, rounded up to a power of two; at least 32 KiB, at most
    /// 64 GiB. Default: 256 KiB. Only the pages that a fiber touches are resident, so a generous
    /// size costs address space and nothing else.
    pub stack_bytes: usize,
    /// How long a fiber may keep the thread before that is reported, with the place where it
    /// stands. Default: one second. `None`: it is not reported.
    pub stall_limit: Option<Duration>,
    /// How long the shard may go on without asking what is new, that is which descriptors are
    /// ready, which timers are due and what other threads have sent. One fiber that keeps the
    /// thread can be the reason, or many that keep it one after the other. Longer is reported as
    /// [`Report::Busy`](crate::Report), and the end of it as [`Report::Free`](crate::Report), for
    /// a program that can have another shard do what this one does not. Default: `None`, it is not
    /// reported.
    pub busy_limit: Option<Duration>,
    /// How long until it is reported as stuck ([`Report::Stuck`](crate::Report)), for whoever can
    /// do something about it, such as starting another shard. Default: `None`, it is not.
    pub stuck_limit: Option<Duration>,
    /// How many fibers that other threads sent ([`Handle::spawn`](crate::Handle::spawn)) may wait
    /// to begin; further ones are refused. Default: 65,536, which is more than a shard falls behind
    /// by in a healthy program, and some 10 MiB.
    pub sent_fibers_max: usize,
    /// Who hears of fibers that misbehave. Default: standard error.
    pub reporter: Reporter,
    /// Measures what each fiber uses of its stack, for [`stack_census`](crate::stack_census).
    /// Default: `false`, because it takes some 10 µs for each fiber that ends, and as much for each
    /// that begins. Meant for a trial run, by which sizes are chosen.
    pub stack_census: bool,
    /// Looks where fibers wait, and reports each place that is inside of a closure that ties state
    /// to the thread ([`Report::ThreadBoundWait`](crate::Report)). Default: whether the environment
    /// variable `STRAIGHTLINE_TRIPWIRE` is `1`. Meant for tests and trial runs: it takes some 15 µs
    /// for each place of waiting now and then, a second or so at the first one, when the debug
    /// information is read, and the program's debug information in memory. A program without any
    /// (`debug = "line-tables-only"` does) shows what was not inlined.
    pub tripwire: bool,
    /// How the shard learns which descriptors are ready. Default: `None`, which is what the
    /// environment variable `STRAIGHTLINE_DRIVER` says (`epoll` or `polling`), or the system's own
    /// where that is not set: [`DriverKind::Epoll`] on Linux, [`DriverKind::Polling`] elsewhere. A
    /// kind that this system does not have, and a value that is none, is an error of
    /// [`run`](crate::run) and [`spawn_shard`](crate::spawn_shard). A [simulation](crate::sim) has
    /// a driver of its own.
    pub driver: Option<DriverKind>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stack_bytes: 256 * 1024,
            stall_limit: Some(Duration::from_secs(1)),
            busy_limit: None,
            stuck_limit: None,
            sent_fibers_max: 65_536,
            reporter: Reporter::default(),
            stack_census: false,
            tripwire: std::env::var_os("STRAIGHTLINE_TRIPWIRE").is_some_and(|value| value == "1"),
            driver: None,
        }
    }
}
