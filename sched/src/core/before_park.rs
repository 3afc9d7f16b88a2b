//! What a fiber wants done before it waits.

use std::fmt;
use std::rc::Rc;

use super::contain::{contain, discard};
use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, Hook};

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
    let rare = fiber.rare_mut();
    let (call, pauses) = (Rc::clone(&hook), rare.in_hook.get());
    rare.before_park.borrow_mut().push(Hook { call, pauses });
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
        if let Some(own) = hooks.iter().rposition(|hook| Rc::ptr_eq(&hook.call, &self.hook)) {
            hooks.remove(own);
        }
    }
}

impl FiberCell {
    /// Whether there are hooks, those that pause for a wait included.
    #[inline]
    pub(super) fn is_hooked(&self) -> bool {
        self.rare().is_some_and(|rare| !rare.before_park.borrow().is_empty())
    }

    /// Whether one is to be called before the fiber next waits.
    pub(super) fn has_hook(&self) -> bool {
        self.rare().is_some_and(|rare| rare.before_park.borrow().iter().any(|hook| !hook.pauses))
    }

    /// One of those that are to be called before the fiber next waits, the newest first.
    pub(super) fn take_hook(&self) -> Option<Rc<dyn Fn()>> {
        let mut hooks = self.rare()?.before_park.borrow_mut();
        let newest = hooks.iter().rposition(|hook| !hook.pauses)?;
        Some(hooks.remove(newest).call)
    }

    /// The fiber waits now: those that were set by hooks have their turn before its next wait.
    pub(super) fn end_hooks_pause(&self) {
        let Some(rare) = self.rare() else { return };
        rare.before_park.borrow_mut().iter_mut().for_each(|hook| hook.pauses = false);
    }

    /// Calls what [`take_hook`](Self::take_hook) returned.
    pub(super) fn call_hook(&self, hook: &dyn Fn()) {
        struct Outer<'r>(&'r FiberCell, bool);
        impl Drop for Outer<'_> {
            fn drop(&mut self) {
                self.0.rare_mut().in_hook.set(self.1);
            }
        }
        // It may wait, and another one be called in it.
        let _outer = Outer(self, self.rare_mut().in_hook.replace(true));
        hook();
    }

    /// At the fiber's end, on its own stack: a last chance for what a guard that lives on elsewhere
    /// is to see done. What it raises ends with the fiber, as any cancel.
    pub(super) fn run_last_hook(&self) {
        while let Some(hook) = self.take_hook() {
            contain(move || self.call_hook(&*hook));
        }
    }

    /// Behind the last one: what is left is dropped while the fiber's stack is there.
    pub(super) fn drop_hooks(&self) {
        let hooks = self.rare().map(|rare| rare.before_park.take());
        hooks.into_iter().flatten().for_each(discard);
    }
}

impl fmt::Debug for BeforePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforePark").finish_non_exhaustive()
    }
}
