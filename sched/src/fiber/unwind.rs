//! The unwind that ends a fiber's work from outside, and is not a panic.
//!
//! A yield point of a fiber that is cancelled, or past its deadline, unwinds the fiber's stack with
//! a private payload. Destructors run as in a panic; the panic hook does not, so nothing is
//! printed. Two rules keep it harmless: a fiber that already unwinds neither parks nor raises
//! (`core::yield_point` keeps them).

use std::any::Any;
use std::cell::Cell;
use std::io::{self, Write};
use std::panic;
use std::process;
use std::sync::Arc;

/// The payload of an unwind.
pub(crate) type Payload = Box<dyn Any + Send>;

/// The payload.
struct Raised {
    reason: Reason,
    /// Shows that the fiber still unwinds, or that the payload was caught and still exists.
    _in_flight: Option<Arc<()>>,
}

/// Why a fiber unwinds that did not panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Cancelled,
    /// It is past the deadline that was set by that frame.
    Expired(Frame),
}

/// One call of `deadline`, or of a lease's `hold`, by a number that is unique in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame(u32);

/// Gives each call of a shard its number.
#[derive(Default)]
pub(crate) struct Frames(Cell<u32>);

impl Frames {
    #[inline]
    pub(crate) fn next(&self) -> Frame {
        // After four billion calls the numbers repeat, except the one that means none.
        let frame = self.0.get().checked_add(1).unwrap_or(1);
        self.0.set(frame);
        Frame(frame)
    }
}

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
/// });
/// ```
pub fn is_cancel(payload: &(dyn Any + Send)) -> bool {
    reason(payload).is_some()
}

/// Why the fiber unwound; `None` if it panicked.
pub(crate) fn reason(payload: &(dyn Any + Send)) -> Option<Reason> {
    payload.downcast_ref::<Raised>().map(|raised| raised.reason)
}

/// Ends the process, because to go on would be worse.
#[cold]
pub(crate) fn abort(text: &str) -> ! {
    // If standard error is closed, the process must end all the same.
    let _ = writeln!(io::stderr(), "straightline: {text}");
    process::abort()
}

/// Unwinds the running fiber; see [`FiberCell::raise`](super::FiberCell::raise).
#[allow(clippy::inline_always)] // each frame costs an unwind two thousand instructions, twice
#[inline(always)]
pub(super) fn raise(reason: Reason, in_flight: Option<Arc<()>>) -> ! {
    panic::resume_unwind(Box::new(Raised { reason, _in_flight: in_flight }))
}

/// The first unwind of a process reads the unwinder's tables, which takes some 70 µs instead of 3:
/// this does it once, before a deadline has to wait for it.
pub(crate) fn warm_up() {
    let _ = panic::catch_unwind(|| raise(Reason::Cancelled, None));
}
