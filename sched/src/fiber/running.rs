//! The fiber that runs on this thread.
//!
//! It is one pointer, set at each switch. A signal handler may read nothing else, so the scheduler
//! uses the same pointer.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use super::abandoned::Abandoned;
use super::cell::FiberCell;
use super::switch::Suspend;
use super::unwind;

thread_local! {
    /// Null between two fibers; otherwise `Rc::as_ptr` of one that `while_running` holds.
    static RUNNING: Cell<*const FiberCell> = const { Cell::new(ptr::null()) };
}

/// Calls `body`, which resumes `fiber`. The fiber that ran before is the running one again
/// afterwards.
#[inline]
pub(crate) fn while_running<R>(fiber: &Rc<FiberCell>, body: impl FnOnce() -> R) -> R {
    struct Restore(*const FiberCell);
    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            RUNNING.set(self.0);
        }
    }
    let _restore = Restore(RUNNING.replace(Rc::as_ptr(fiber)));
    body()
}

/// The running fiber, with a reference of its own.
#[inline]
pub(crate) fn running() -> Option<Rc<FiberCell>> {
    let fiber = RUNNING.get();
    if fiber.is_null() {
        return None;
    }
    // SAFETY: it comes from an `Rc` that `while_running`, further up this thread's stack, holds a
    // reference to; an `Rc` of it is on this thread only.
    unsafe { Rc::increment_strong_count(fiber) };
    // SAFETY: as above, and the count that this `Rc` gives back was just added.
    Some(unsafe { Rc::from_raw(fiber) })
}

/// Gives the thread back to the code that resumed the running fiber. Returns true once the fiber is
/// resumed again, and false at once outside of fibers.
pub(crate) fn suspend_running(why: Suspend) -> bool {
    // SAFETY: not null means that `while_running` lends the fiber to code further up this thread's
    // stack, this code included. While it is suspended, its coroutine's first frame holds it.
    let Some(fiber) = (unsafe { RUNNING.get().as_ref() }) else { return false };
    // SAFETY: the running fiber is the one whose coroutine has the thread.
    unsafe { fiber.switch.suspend(why) };
    true
}

/// Gives the running fiber up. No code behind this call ever runs, and no frame in front of it is
/// ever left: if no fiber runs, the process ends.
#[cold]
pub(crate) fn abandon_running(why: Abandoned) -> ! {
    if suspend_running(Suspend::Abandoned(why)) {
        unwind::abort("a fiber that was abandoned has been resumed");
    }
    unwind::abort("what only a fiber can wait for is waited for outside of fibers");
}

/// Calls `tell` with the running fiber, if there is one. Signal handlers call it too: they may read
/// only what does not change while the fiber runs.
#[inline]
pub(crate) fn with_running<R>(tell: impl FnOnce(&FiberCell) -> R) -> Option<R> {
    // SAFETY: not null means that `while_running` lends the fiber to code further up this thread's
    // stack, or to code that a handler on this thread has interrupted; it returns after `tell`. If
    // the fiber suspends in `tell`, its coroutine's first frame holds it until it runs again.
    unsafe { RUNNING.get().as_ref() }.map(tell)
}
