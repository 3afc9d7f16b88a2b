//! A shard's life on a thread: it is made, runs until its root fiber has ended, is ended, and
//! dropped.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use super::config::Config;
use super::end::{end, end_broken};
use super::local;
use super::monitor::monitor;
use super::remains;
use super::shard::Shard;
use super::spawn::{FiberBuilder, spawn_on};
use super::turn::{is_busy, poll_driver, run_ready};
use crate::driver::Driver;
use crate::fiber::{overflow, unwind};
use crate::watchdog::Limits;

/// Runs `root` as the first fiber of a new shard on this thread, and returns what it returns.
///
/// Fibers that are still alive then are cancelled and have unwound before `run` returns. If `root`
/// panics, so does `run`, after the same clean-up.
///
/// # Fibers that were abandoned
///
/// A fiber that was [abandoned](crate::JoinError::is_abandoned), sooner or at the end, has not
/// unwound. It may have lent a thread-local of this thread to another thread, which still uses it.
/// So `run` returns as usual, but *the thread does not end*: at its end it says so on standard
/// error and waits for ever, and a thread that joins it waits as well. If fibers may be abandoned,
/// run them with [`spawn_shard`](crate::spawn_shard), whose `join` does not wait for such a thread,
/// or on a thread that is never joined.
///
/// The process ends as usual, even on such a thread, by [`exit`](std::process::exit) or the end of
/// `main`. But that would destroy the thread's thread-locals too. So if the process has other
/// threads, it then ends at once with status 70, and says so.
///
/// # Blocking
///
/// Blocks the thread until `root` and the clean-up after it have ended. That takes up to ten
/// seconds if a fiber is in an [`uncancellable`](crate::uncancellable) section.
///
/// # Panics
///
/// When `root` does, inside of another `run` on the same thread, and when the shard cannot start or
/// `root` does not end: where [`run_with`] returns an error.
///
/// ```
/// use straightline_sched as sched;
///
/// let sum = sched::run(|| {
///     let fibers: Vec<_> = (1..=3).map(|n| sched::spawn(move || n * n)).collect();
///     fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum::<u32>()
/// });
/// assert_eq!(sum, 14);
/// ```
#[track_caller]
pub fn run<T: 'static>(root: impl FnOnce() -> T + 'static) -> T {
    match run_with(Config::default(), root) {
        Ok(value) => value,
        Err(error) => panic!(
            "straightline: `run` cannot make a shard on this thread: {error}; `run_with` returns \
             that as an error"
        ),
    }
}

/// As [`run`], with a [`Config`], which has an example, and with errors instead of panics.
///
/// # Blocking
///
/// As [`run`].
///
/// # Errors
///
/// When the operating system refuses the driver, the first stack, or the stack for signals; when a
/// driver is asked for that this system does not have ([`Config::driver`]); when `root` was
/// abandoned; and, on systems other than Linux with glibc, when fibers were abandoned in an earlier
/// `run` on this thread.
///
/// # Panics
///
/// When `root` does, inside of another `run` on the same thread, and when waiting for events fails,
/// which means a broken descriptor table.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // a shard's configuration is its own
pub fn run_with<T: 'static>(config: Config, root: impl FnOnce() -> T + 'static) -> io::Result<T> {
    remains::check()?;
    let driver = Driver::system(config.driver)?;
    run_on(driver, config, root)
}

/// As [`run_with`], with the driver that the configuration asks for.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // as there
pub(crate) fn run_on<T: 'static>(
    driver: Driver,
    config: Config,
    root: impl FnOnce() -> T + 'static,
) -> io::Result<T> {
    let shard = &Shard::new(&config, driver);
    let entered = local::enter(shard);
    unwind::warm_up();
    let Config { stall_limit: stall, busy_limit: busy, stuck_limit: stuck, .. } = config;
    monitor(shard, Limits { stall, busy, stuck });
    let _signals = overflow::watch()?;
    let root = spawn_on(shard, FiberBuilder::new().name("root"), Location::caller(), None, root)?;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        loop {
            run_ready(shard);
            if root.is_finished() {
                break;
            }
            if !is_busy(shard) {
                poll_driver(shard, None);
            }
        }
        end(shard);
    }));
    if let Err(payload) = ran {
        end_broken(shard);
        resume_unwind(payload);
    }
    let outcome = root.join();
    drop(entered);
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => match error.into_panic() {
            Ok(payload) => resume_unwind(payload),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}
