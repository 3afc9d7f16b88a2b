//! Ending a fiber's work from outside: an unwind that is not a panic.
//!
//! A yield point of a fiber that is cancelled, or past its deadline, unwinds the fiber's stack with
//! a private payload. Destructors run as in a panic; the panic hook does not, so nothing is
//! printed. Two rules make this sound: nothing parks and nothing raises while the fiber already
//! unwinds (`core::park` keeps them).

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// Why a fiber unwinds that did not panic: the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Cancelled,
    /// Past the deadline that was set by that frame.
    Expired(Frame),
}

/// One call of `deadline`, told apart from all others of its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) u32);

impl Frame {
    /// No frame of the fiber itself: the deadline was inherited.
    pub(crate) const ROOT: Self = Self(0);
}

/// Whether a payload that `catch_unwind` returned is the cancel of a fiber, or its deadline's end,
/// rather than a panic.
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
    reason(payload).is_some()
}

/// Why the fiber unwound; `None` if it panicked.
pub(crate) fn reason(payload: &(dyn Any + Send)) -> Option<Reason> {
    payload.downcast_ref().copied()
}

/// Unwinds the running fiber, to the end of its body or to whoever catches.
pub(crate) fn raise(reason: Reason) -> ! {
    panic::resume_unwind(Box::new(reason))
}

/// The first unwind of a process reads the unwinder's tables, which takes some 70 µs instead of
/// 3: do it once before somebody's deadline has to wait for it.
pub(crate) fn warm_up() {
    let _ = panic::catch_unwind(AssertUnwindSafe(|| raise(Reason::Cancelled)));
}
