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
/// The hook runs on the fiber, and may wait itself. There may be several; the newest is called
/// first.
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
    fiber.rare_mut().before_park.borrow_mut().push(Rc::clone(&hook));
    BeforePark { fiber, hook }
}

/// Takes the hook of [`before_park`] back when it is dropped. Not a yield point.
#[must_use = "the hook is taken back when this is dropped"]
pub struct BeforePark {
    fiber: Rc<FiberCell>,
    hook: Rc<dyn Fn()>,
}

impl Drop for BeforePark {
    fn drop(&mut self) {
        let Some(rare) = self.fiber.rare() else { return };
        let mut hooks = rare.before_park.borrow_mut();
        // Gone if it has been called. One that is set twice is as good as the other.
        if let Some(own) = hooks.iter().rposition(|hook| Rc::ptr_eq(hook, &self.hook)) {
            hooks.remove(own);
        }
    }
}

impl FiberCell {
    /// At the fiber's end, on its own stack: a last chance for what a guard that lives on elsewhere
    /// is to see done. What it raises ends with the fiber, as any cancel.
    pub(super) fn run_last_hook(&self) {
        while let Some(hook) = self.take_hook() {
            let _ = catch_unwind(AssertUnwindSafe(|| hook()));
        }
    }
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}
