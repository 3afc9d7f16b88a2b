//! The way from a fiber back to its scheduler.
//!
//! corosensei hands the coroutine a reference to its `Yielder`. Blocking calls happen deep below
//! that frame, in code that knows nothing of it. So the fiber records where its yielder is when it
//! begins to run, and suspends through that record.
//!
//! A suspended fiber can be asked where it stands: it is resumed with [`Resume::Dump`], captures
//! its own backtrace, and suspends again. No other code of the fiber runs. [`Resume::Measure`] asks
//! only for the size.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::ptr;

use super::abandoned::Abandoned;
use super::backtrace::Backtrace;
use super::stack::{FiberStack, StackBounds};

/// The closure that a fiber without a stack of its own runs at each wake-up.
pub(crate) type Activations = Box<dyn FnMut() -> ControlFlow<()>>;

/// Why a fiber gave the thread back before its end.
pub(crate) enum Suspend {
    /// To be resumed when it is woken.
    Parked,
    /// Its activation is over. The rest is for the next one; `None` if there is none. The coroutine
    /// is an idle worker.
    Rested(Option<Activations>),
    /// Never to be resumed.
    Abandoned(Abandoned),
}

/// Why a fiber gets the thread.
pub(crate) enum Resume {
    /// To go on.
    Run,
    /// To run this activation. For an idle worker.
    Work(Activations),
    /// To end. For an idle worker.
    End,
    /// To capture where it stands, and to give the thread back at once.
    Dump,
    /// To measure how much of its stack it has in use, likewise.
    Measure,
}

/// The coroutine of a fiber that has a stack of its own, or of a worker.
pub(crate) type FiberCoroutine = corosensei::Coroutine<Resume, Suspend, (), FiberStack>;

pub(crate) type Yielder = corosensei::Yielder<Resume, Suspend>;

/// Where the running coroutine of a fiber suspends itself, and the stack that it is on.
pub(crate) struct Switch {
    /// Null before it first ran.
    yielder: Cell<*const Yielder>,
    /// The stack that it has, or had last.
    stack: Cell<StackBounds>,
}

impl Switch {
    /// The coroutine is on that stack now.
    #[inline]
    pub(crate) fn set_stack(&self, stack: StackBounds) {
        self.stack.set(stack);
    }

    #[inline]
    pub(crate) fn stack(&self) -> StackBounds {
        self.stack.get()
    }

    /// Called by the coroutine, first thing on its own stack.
    pub(crate) fn enter(&self, yielder: &Yielder) {
        self.yielder.set(ptr::from_ref(yielder));
    }

    /// Gives the thread back to the code that resumed this fiber.
    ///
    /// # Safety
    ///
    /// The caller runs on the coroutine that last called [`Switch::enter`] on this switch.
    pub(crate) unsafe fn suspend(&self, why: Suspend) {
        let yielder = self.yielder.get();
        assert!(!yielder.is_null(), "a fiber suspends before it entered its stack");
        // SAFETY: the yielder lives in the root frame of the coroutine that entered, and the
        // caller promises to be running on it: the frame is there, and only this thread sees it.
        let yielder = unsafe { &*yielder };
        let mut resume = yielder.suspend(why);
        loop {
            match resume {
                Resume::Run => return,
                Resume::Dump => dump(self.stack()),
                Resume::Measure => measure(self.stack()),
                Resume::Work(_) | Resume::End => unreachable!("an order for an idle worker"),
            }
            // A fiber that was abandoned is asked nothing.
            resume = yielder.suspend(Suspend::Parked);
        }
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self { yielder: Cell::new(ptr::null()), stack: Cell::default() }
    }
}

/// The capture of the last resume with [`Resume::Dump`] on this thread.
pub(crate) fn take_dump() -> Option<Backtrace> {
    DUMP.take()
}

/// The result of the last resume with [`Resume::Measure`] on this thread: bytes.
pub(crate) fn take_depth() -> Option<usize> {
    DEPTH.take()
}

/// Runs on the stack of the fiber that is asked.
#[cold]
fn measure(stack: StackBounds) {
    let here = 0_u8;
    let here = ptr::from_ref(&here).addr();
    DEPTH.set(Some(stack.base().wrapping_sub(here)));
}

/// Runs on the stack of the fiber that is asked.
#[cold]
fn dump(stack: StackBounds) {
    let here = 0_u8;
    let here = ptr::from_ref(&here).addr();
    if !stack.ends_within(DUMP_BYTES, here) {
        DUMP.set(Some(Backtrace::capture()));
    }
}

/// How much of the stack a capture may take: 8 KiB were measured.
const DUMP_BYTES: usize = 12 * 1024;

thread_local! {
    static DUMP: Cell<Option<Backtrace>> = const { Cell::new(None) };
    static DEPTH: Cell<Option<usize>> = const { Cell::new(None) };
}
