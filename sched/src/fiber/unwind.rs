//! Cancelling a fiber: an unwind that is not a panic.
//!
//! A yield point of a cancelled fiber unwinds the fiber's stack with a private payload. Destructors
//! run as in a panic; the panic hook does not, so nothing is printed. Two rules make this sound:
//! nothing parks and nothing raises while the fiber already unwinds (`core::park` keeps them).

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// The payload of a cancel.
struct Cancelled;

/// Whether a payload that `catch_unwind` returned is the cancel of a fiber rather than a panic.
///
/// Code that catches panics and goes on (a worker loop, a test harness) should pass a cancel on
/// with [`std::panic::resume_unwind`]. If it does not, the next yield point raises it again.
///
/// ```
/// use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let worker = sched::spawn(|| loop {
///         match catch_unwind(AssertUnwindSafe(sched::park)) {
///             Err(payload) if sched::is_cancel(&*payload) => resume_unwind(payload),
///             _ => {}
///         }
///     });
///     worker.cancel();
///     assert!(worker.join().unwrap_err().is_cancelled());
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn is_cancel(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Cancelled>()
}

/// Unwinds the running fiber, to the end of its body or to whoever catches.
pub(crate) fn raise() -> ! {
    panic::resume_unwind(Box::new(Cancelled))
}

/// The first unwind of a process reads the unwinder's tables, which takes some 70 µs instead of
/// 3: do it once before somebody's deadline has to wait for it.
pub(crate) fn warm_up() {
    let _ = panic::catch_unwind(AssertUnwindSafe(|| raise()));
}
