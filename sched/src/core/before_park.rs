//! What a fiber wants done before it waits.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::local;
use super::shard::Shard;
use crate::fiber::FiberCell;

/// Has `hook` called, once, if the calling fiber waits for something before the guard is dropped,
/// or ends: for what must not be kept back while others run, such as output that is collected.
///
/// The hook runs on the fiber, and may wait itself. There is one at a time: a second call replaces
/// the first's.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let flushed = Rc::new(Cell::new(0));
///     let count = Rc::clone(&flushed);
///     let guard = sched::before_park(Rc::new(move || count.set(count.get() + 1)));
///     assert_eq!(flushed.get(), 0);
///     sched::yield_now();
///     sched::yield_now();
///     assert_eq!(flushed.get(), 1);
///     drop(guard);
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn before_park(hook: Rc<dyn Fn()>) -> BeforePark {
    let fiber = local::with(Shard::current);
    fiber.rare_mut().before_park.set(Some(hook));
    BeforePark { fiber }
}

/// Takes the hook of [`before_park`] back when it is dropped. Not a yield point.
#[must_use = "the hook is taken back when this is dropped"]
pub struct BeforePark {
    fiber: Rc<FiberCell>,
}

impl Drop for BeforePark {
    fn drop(&mut self) {
        self.fiber.take_hook();
    }
}

impl FiberCell {
    /// At the fiber's end, on its own stack: a last chance for what a guard that lives on elsewhere
    /// is to see done. What it raises ends with the fiber, as any cancel.
    pub(super) fn run_last_hook(&self) {
        if let Some(hook) = self.take_hook() {
            let _ = catch_unwind(AssertUnwindSafe(|| hook()));
        }
    }
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}
