//! A logger that follows the fiber.
//!
//! What a request logs should carry the request's id, down to the helper that knows nothing of
//! requests. So the logger is not handed from call to call: [`logger`] returns the one of the
//! running fiber, and [`with_logger`] sets it for a piece of work and for the fibers that this work
//! starts.

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

/// The logger of the work that the calling fiber does: the innermost [`with_logger`]'s, its
/// parent's if it has set none, and otherwise the thread's. One that drops everything where none
/// was set. Works outside of fibers too.
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
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn logger() -> Logger {
    let own = if current_id().is_some() { OWN.with(|own| own.borrow().clone()) } else { None };
    own.or_else(|| OF_THREAD.with_borrow(Clone::clone))
        .unwrap_or_else(|| Logger::root(Discard, o!()))
}

/// Runs `body` with `logger` as the calling fiber's, and that of the fibers that it starts.
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
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn with_logger<T>(logger: Logger, body: impl FnOnce() -> T) -> T {
    let outer = OWN.with(|own| own.replace(Some(logger)));
    let _restore = Restore(outer);
    body()
}

/// Sets the logger of everything on this thread that has set none itself; returns the former one.
/// A server does this once for each shard.
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

/// Puts the outer logger back, also when the body unwinds.
struct Restore(Option<Logger>);

impl Drop for Restore {
    fn drop(&mut self) {
        let outer = self.0.take();
        // The inner one is dropped when the borrow is over: its drain may have a destructor.
        let _inner = OWN.with(|own| own.replace(outer));
    }
}
