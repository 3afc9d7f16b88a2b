//! Hooks that a fiber calls before it waits.

use std::fmt;
use std::rc::Rc;

use super::contain::{contain, discard};
use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, ParkHooks};

/// Calls `hook` once, if the calling fiber waits for something before the guard is dropped, or
/// ends. For work that must not be held back while other fibers run, such as output that is
/// collected.
///
/// The hook runs on the fiber, and may wait itself. A fiber may have several hooks; the newest is
/// called first. A hook that is set while another hook of the fiber runs is called after the fiber
/// has waited once. So a hook that sets itself again is called once before each wait, and not for
/// ever before the first. When the fiber ends, a hook that its last hooks set is dropped.
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
/// });
/// ```
#[track_caller]
pub fn before_park(hook: Rc<dyn Fn()>) -> BeforePark {
    let fiber = local::with(Shard::current);
    fiber.cold_mut().park_hooks.push(Rc::clone(&hook));
    BeforePark { fiber, hook }
}

/// Removes the hook of [`before_park`] when it is dropped. Not a yield point.
#[must_use = "the hook is taken back when this is dropped"]
pub struct BeforePark {
    fiber: Rc<FiberCell>,
    hook: Rc<dyn Fn()>,
}

impl Drop for BeforePark {
    fn drop(&mut self) {
        if let Some(hooks) = park_hooks_of(&self.fiber) {
            hooks.remove(&self.hook);
        }
    }
}

/// A fiber's hooks, if it has any, including those that pause for a wait.
#[inline]
pub(super) fn park_hooks_of(fiber: &FiberCell) -> Option<&ParkHooks> {
    fiber.cold().map(|cold| &cold.park_hooks).filter(|hooks| !hooks.is_empty())
}

/// Called at the fiber's end, on its own stack. A guard may live on elsewhere, so this is the last
/// chance to call its hook. A cancel that a hook raises ends with the fiber.
pub(super) fn run_last_hooks(fiber: &FiberCell) {
    let Some(hooks) = park_hooks_of(fiber) else { return };
    while let Some(hook) = hooks.take_due() {
        contain(move || hooks.call(&*hook));
    }
}

/// Called after the last hook: drops the rest while the fiber's stack exists.
pub(super) fn drop_hooks(fiber: &FiberCell) {
    park_hooks_of(fiber).into_iter().flat_map(ParkHooks::take).for_each(discard);
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}
