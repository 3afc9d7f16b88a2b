//! The level of a log, which can be changed while the program runs, also for a while only.
//!
//! No thread and no timer ends the while: the level is compared with the clock when a record is
//! logged, and only as long as the level is one for a while. Otherwise a record costs two atomic
//! loads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slog::{Drain, Level, OwnedKVList, Record};
use straightline_sched::now;

/// Which records a log has, from `critical` to `trace`; can be changed while the program runs, also
/// for a while only. Clones are the same level.
///
/// The program puts [`filter`](Self::filter) around the drain of its logger, and gives the level to
/// [`Admin::log_level`](crate::admin::Admin::log_level), so that an operator can change it.
///
/// slog leaves out some levels when it is compiled: in a release build everything above `info`.
/// The features of slog say otherwise, such as `release_max_level_debug` in the `Cargo.toml` of the
/// program. No level brings back what is not compiled.
///
/// ```
/// use std::time::Duration;
/// use slog::{Discard, Level, Logger, o};
/// use straightline::{LogLevel, Request, Server};
///
/// let level = LogLevel::new(Level::Info);
/// let logger = Logger::root(level.filter(Discard), o!());
/// let server = Server::builder().bind("127.0.0.1:0").logger(logger);
/// server.build(|_: &mut Request| "hi\n")?;
///
/// level.set_for(Level::Debug, Duration::from_secs(600)); // `info` again after ten minutes
/// assert_eq!(level.get(), Level::Debug);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct LogLevel(Arc<State>);

struct State {
    /// The level now, unless it is one for a while whose time is over.
    level: AtomicUsize,
    /// The level is one for a while.
    is_limited: AtomicBool,
    /// The level for a while: until when, and what comes then. std's mutex, because slog's drains
    /// have to be safe to unwind through.
    limit: Mutex<Option<Limit>>,
}

#[derive(Clone, Copy)]
struct Limit {
    until: Instant,
    then: Level,
}

/// The records of a drain that a [`LogLevel`] lets through, see [`LogLevel::filter`].
#[derive(Clone, Debug)]
pub struct LogLevelFilter<D> {
    level: LogLevel,
    drain: D,
}

impl LogLevel {
    /// Records of this level and of graver ones. Not a yield point.
    pub fn new(level: Level) -> Self {
        Self(Arc::new(State {
            level: AtomicUsize::new(level.as_usize()),
            is_limited: AtomicBool::new(false),
            limit: Mutex::new(None),
        }))
    }

    /// Lets only those records through that have this level, as it is when they are logged. Not a
    /// yield point.
    pub fn filter<D: Drain>(&self, drain: D) -> LogLevelFilter<D> {
        LogLevelFilter { level: self.clone(), drain }
    }

    /// The level now. Not a yield point.
    pub fn get(&self) -> Level {
        self.now().0
    }

    /// For how much longer the level is as it is, and which one it is then; `None` if it stays. Not
    /// a yield point.
    ///
    /// ```
    /// use std::time::Duration;
    /// use slog::Level;
    /// use straightline::LogLevel;
    ///
    /// let level = LogLevel::new(Level::Info);
    /// assert_eq!(level.reverts(), None);
    /// level.set_for(Level::Debug, Duration::from_secs(600));
    /// let (left, then) = level.reverts().unwrap();
    /// assert!(left <= Duration::from_secs(600) && then == Level::Info);
    /// ```
    pub fn reverts(&self) -> Option<(Duration, Level)> {
        self.now().1
    }

    /// Changes the level for good. Not a yield point.
    pub fn set(&self, level: Level) {
        let mut limit = self.0.lock();
        *limit = None;
        self.0.store(level, false);
    }

    /// Changes the level for that time. Then it is what it was, before the first of several calls
    /// of this. Not a yield point.
    pub fn set_for(&self, level: Level, time: Duration) {
        let now = now();
        let mut limit = self.0.lock();
        let then = match *limit {
            Some(limit) => limit.then,
            None => self.0.level(),
        };
        // A time beyond the clock's range is for good.
        *limit = now.checked_add(time).map(|until| Limit { until, then });
        self.0.store(level, limit.is_some());
    }

    /// The level, and what [`reverts`](Self::reverts) returns.
    fn now(&self) -> (Level, Option<(Duration, Level)>) {
        if !self.0.is_limited.load(Ordering::Relaxed) {
            return (self.0.level(), None);
        }
        let now = now();
        let mut limit = self.0.lock();
        match *limit {
            Some(Limit { until, then }) if now >= until => {
                *limit = None;
                self.0.store(then, false);
                (then, None)
            }
            Some(Limit { until, then }) => {
                (self.0.level(), Some((until.saturating_duration_since(now), then)))
            }
            None => (self.0.level(), None),
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<Limit>> {
        // The code that holds it does not panic.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn level(&self) -> Level {
        // Only levels are stored.
        Level::from_usize(self.level.load(Ordering::Relaxed)).unwrap_or(Level::Info)
    }

    fn store(&self, level: Level, is_limited: bool) {
        self.level.store(level.as_usize(), Ordering::Relaxed);
        self.is_limited.store(is_limited, Ordering::Relaxed);
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&format_args!("{}", self.get().as_str())).finish()
    }
}

impl<D: Drain> Drain for LogLevelFilter<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<Self::Ok, Self::Err> {
        if !record.level().is_at_least(self.level.get()) {
            return Ok(());
        }
        self.drain.log(record, values).map(drop)
    }

    fn is_enabled(&self, level: Level) -> bool {
        level.is_at_least(self.level.get()) && self.drain.is_enabled(level)
    }

    fn flush(&self) -> Result<(), slog::FlushError> {
        self.drain.flush()
    }
}

/// Whether records of that level are compiled into this program.
pub(crate) fn is_compiled(level: Level) -> bool {
    /// What slog says for a drain that has no say.
    struct Plain;

    impl Drain for Plain {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, _: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            Ok(())
        }
    }

    Plain.is_enabled(level)
}

#[cfg(test)]
mod tests {
    use straightline_sched::{sim, sleep};

    use super::*;

    #[test]
    fn a_level_for_a_while_is_then_what_it_was_before_the_first() {
        let text = sim::run(1, || {
            let level = LogLevel::new(Level::Info);
            level.set_for(Level::Debug, Duration::from_secs(10));
            sleep(Duration::from_secs(9));
            assert_eq!(level.get(), Level::Debug);
            level.set_for(Level::Trace, Duration::from_secs(10));
            sleep(Duration::from_secs(9));
            assert_eq!(level.get(), Level::Trace);
            let (left, then) = level.reverts().expect("it is for a while");
            assert!(left <= Duration::from_secs(1) && then == Level::Info, "{left:?}");
            sleep(Duration::from_secs(1));
            assert_eq!((level.get(), level.reverts()), (Level::Info, None));
            level.set_for(Level::Debug, Duration::from_secs(1));
            level.set(Level::Error);
            sleep(Duration::from_secs(2));
            format!("{level:?}")
        });
        assert_eq!(text, "LogLevel(ERROR)");
    }

    #[test]
    fn a_time_beyond_the_clock_is_for_good() {
        let level = LogLevel::new(Level::Info);
        level.set_for(Level::Debug, Duration::MAX);
        assert_eq!((level.get(), level.reverts()), (Level::Debug, None));
    }
}
