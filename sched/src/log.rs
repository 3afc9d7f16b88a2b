//! A logger that follows the fiber.
//!
//! The log lines of a request should carry the request's id, also those of a helper that knows
//! nothing of requests. So the logger is not an argument of every call: [`logger`] returns the
//! logger of the running fiber, and [`with_logger`] sets it for a piece of work and for the fibers
//! that this work starts.

use std::cell::RefCell;

use slog::{Discard, Logger, o};

use crate::core::current_id;
use crate::fiber_local;

fiber_local! {
    static inherited OWN: RefCell<Option<Logger>> = RefCell::new(None);
}

thread_local! {
    static OF_THREAD: RefCell<Option<Logger>> = const { RefCell::new(None) };
}

/// The logger of the work that the calling fiber does: that of the innermost [`with_logger`]; if
/// the fiber has set none, that of its parent; otherwise the thread's. Where no logger was set, one
/// that drops everything. Works outside of fibers too.
///
/// Not a yield point.
///
/// ```
/// use slog::{info, o};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let request = sched::logger().new(o!("request" => 17));
///     sched::with_logger(request, || {
///         sched::scope(|s| {
///             s.spawn(|| info!(sched::logger(), "asking the database")); // request: 17
///         });
///     });
/// });
/// ```
pub fn logger() -> Logger {
    let own = if current_id().is_some() { OWN.with(|own| own.borrow().clone()) } else { None };
    own.or_else(|| OF_THREAD.with_borrow(Clone::clone))
        .unwrap_or_else(|| Logger::root(Discard, o!()))
}

/// Runs `body` with `logger` as the logger of the calling fiber, and of the fibers that it starts.
///
/// Not a yield point itself.
///
/// # Panics
///
/// When `body` does, and outside of a fiber.
///
/// ```
/// use slog::{Discard, Logger, o};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let request = Logger::root(Discard, o!("request" => 17));
///     let id = || sched::logger().list().clone();
///     sched::with_logger(request, || assert!(format!("{:?}", id()).contains("request")));
///     assert!(!format!("{:?}", id()).contains("request"));
/// });
/// ```
pub fn with_logger<T>(logger: Logger, body: impl FnOnce() -> T) -> T {
    let outer = OWN.with(|own| own.replace(Some(logger)));
    let _restore = Restore(outer);
    body()
}

/// Sets the logger of the fibers on this thread that have set none; returns the former one. A
/// server does this once for each shard.
///
/// Not a yield point.
///
/// ```
/// use slog::{Discard, Logger, o};
/// use straightline_sched as sched;
///
/// sched::set_thread_logger(Logger::root(Discard, o!("shard" => 0)));
/// ```
pub fn set_thread_logger(logger: Logger) -> Option<Logger> {
    OF_THREAD.replace(Some(logger))
}

/// Restores the outer logger, also when the body unwinds.
struct Restore(Option<Logger>);

impl Drop for Restore {
    fn drop(&mut self) {
        let outer = self.0.take();
        // The inner logger is dropped after the borrow: its drain may have a destructor.
        let _inner = OWN.with(|own| own.replace(outer));
    }
}
