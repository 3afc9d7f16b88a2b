//! Hooks at each switch: code that runs when a fiber gives its thread away, and when it gets it
//! back.
//!
//! They are the fiber's and not the shard's: a fiber that has none pays for a look at one pointer,
//! which is null for most fibers. They run on the scheduler's stack, between two fibers. So every
//! way in which a fiber can leave its thread is covered by the one place that resumes fibers, the
//! hooks need none of the fiber's stack, and they cannot wait.

use std::fmt;
use std::rc::Rc;

use super::contain::{contain, discard};
use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, SwitchHook, SwitchHooks};

/// Calls `hook` each time the calling fiber gives its thread away, and each time it gets it back,
/// until the guard is dropped.
///
/// This is for libraries that keep the context of the running work in a thread-local: the current
/// span, a request id, an arena. A thread-local belongs to all fibers of the thread, so a fiber
/// would find the context of another one after a wait. With a hook the value leaves the
/// thread-local together with the fiber:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, SwitchHook, on_switch};
///
/// thread_local! {
///     static REQUEST: Cell<u32> = const { Cell::new(0) };
/// }
///
/// struct Follow(Cell<u32>); // the value while the fiber is suspended
///
/// impl SwitchHook for Follow {
///     fn on_suspend(&self) {
///         self.0.set(REQUEST.replace(0));
///     }
///
///     fn on_resume(&self) {
///         REQUEST.set(self.0.get());
///     }
/// }
///
/// fn handle(request: u32) {
///     let _guard = on_switch(Rc::new(Follow(Cell::new(0))));
///     REQUEST.set(request);
///     sched::yield_now(); // other requests run
///     assert_eq!(REQUEST.get(), request);
///     REQUEST.set(0);
/// }
///
/// sched::run(|| {
///     sched::scope(|s| {
///         for request in 1..=3 {
///             s.spawn(move || handle(request));
///         }
///     });
///     assert_eq!(REQUEST.get(), 0);
/// });
/// ```
///
/// The two calls alternate, beginning with `on_suspend`. Hooks nest: the newest is suspended first
/// and resumed last. An activation of [`spawn_stackless`](crate::spawn_stackless) that ends is a
/// switch, and so is the begin of the next one. A fiber that is cancelled is resumed as usual, and
/// its destructors run after that. A fiber that ends, or is abandoned, while the hook is set is
/// suspended for the last time then; at its end the hook is dropped, and if it was abandoned, the
/// hook is lost with the fiber's frames. Fibers that the calling fiber spawns do not inherit its
/// hooks. A guard may be dropped anywhere on the thread; if its fiber is suspended then,
/// `on_resume` is not called.
///
/// A hook runs between two fibers, for each turn of its fiber: it must be quick. It may wake
/// fibers. It can neither wait nor spawn nor set hooks: such a call panics, or returns an error
/// where it has one. The panic of a hook goes no further than the hook; it is counted in
/// [`Stats::panics_contained`](crate::Stats::panics_contained).
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
#[track_caller]
pub fn on_switch(hook: Rc<dyn SwitchHook>) -> OnSwitch {
    let fiber = local::with(Shard::current);
    let id = fiber.cold_mut().switch_hooks.push(hook);
    OnSwitch { fiber, id }
}

/// Removes the hook of [`on_switch`] when it is dropped. Not a yield point.
#[must_use = "the hook is taken back when this is dropped"]
pub struct OnSwitch {
    fiber: Rc<FiberCell>,
    id: u64,
}

impl Drop for OnSwitch {
    fn drop(&mut self) {
        let hook = self.fiber.cold().and_then(|cold| cold.switch_hooks.remove(self.id));
        drop(hook); // the list is not borrowed any more
    }
}

/// Calls the hooks of a fiber that is about to be resumed.
#[inline]
pub(super) fn before_resume(shard: &Shard, fiber: &FiberCell) {
    if let Some(hooks) = switch_hooks_of(fiber) {
        call_all(shard, || hooks.next_to_resume(), |hook| hook.on_resume());
    }
}

/// Calls the hooks of a fiber that has given its thread away.
#[inline]
pub(super) fn after_suspend(shard: &Shard, fiber: &FiberCell) {
    if let Some(hooks) = switch_hooks_of(fiber) {
        call_all(shard, || hooks.next_to_suspend(), |hook| hook.on_suspend());
    }
}

/// Drops the hooks that are left of a fiber that has ended: those whose guards live on.
pub(super) fn drop_switch_hooks(shard: &Shard, fiber: &FiberCell) {
    if let Some(hooks) = switch_hooks_of(fiber) {
        shard.in_switch_hook.set(true);
        hooks.take().for_each(discard);
        shard.in_switch_hook.set(false);
    }
}

#[inline]
fn switch_hooks_of(fiber: &FiberCell) -> Option<&SwitchHooks> {
    fiber.cold().map(|cold| &cold.switch_hooks).filter(|hooks| !hooks.is_empty())
}

#[cold]
fn call_all(
    shard: &Shard,
    mut next: impl FnMut() -> Option<Rc<dyn SwitchHook>>,
    call: impl Fn(&dyn SwitchHook),
) {
    shard.in_switch_hook.set(true);
    while let Some(hook) = next() {
        contain(|| call(&*hook));
        // The hook may have dropped its own guard: then this is the last reference to it.
        discard(hook);
    }
    shard.in_switch_hook.set(false);
}

impl fmt::Debug for OnSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnSwitch").finish_non_exhaustive()
    }
}
