//! What a fiber wants done before it waits.

use std::fmt;
use std::rc::Rc;

use super::contain::{contain, discard};
use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, Hooks};

/// Has `hook` called, once, if the calling fiber waits for something before the guard is dropped,
/// or ends: for what must not be kept back while others run, such as output that is collected.
///
/// The hook runs on the fiber, and may wait itself. There may be several; the newest is called
/// first. One that is set while a hook of the fiber runs is not called before the fiber has waited
/// once: so a hook that sets itself again is called once before each wait, and not for ever before
/// the first. When the fiber ends, one that its last hooks set is dropped.
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
    fiber.rare_mut().hooks.push(Rc::clone(&hook));
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
        if let Some(hooks) = hooks_of(&self.fiber) {
            hooks.remove(&self.hook);
        }
    }
}

/// A fiber's hooks, if there are some, those that pause for a wait included.
#[inline]
pub(super) fn hooks_of(fiber: &FiberCell) -> Option<&Hooks> {
    fiber.rare().map(|rare| &rare.hooks).filter(|hooks| !hooks.is_empty())
}

/// At the fiber's end, on its own stack: a last chance for what a guard that lives on elsewhere is
/// to see done. What it raises ends with the fiber, as any cancel.
pub(super) fn run_last_hooks(fiber: &FiberCell) {
    let Some(hooks) = hooks_of(fiber) else { return };
    while let Some(hook) = hooks.take_due() {
        contain(move || hooks.call(&*hook));
    }
}

/// Behind the last one: what is left is dropped while the fiber's stack is there.
pub(super) fn drop_hooks(fiber: &FiberCell) {
    hooks_of(fiber).into_iter().flat_map(Hooks::take).for_each(discard);
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}
