//! Who waits: a fiber of some shard, or a plain thread.
//!
//! Everything in `sync` blocks through this file, and so works from both sides: a job on another
//! thread can send to a fiber, and a test can wait for one.

use std::thread::{self, Thread};

use crate::core::{self, Fiber, Unwinding};
use crate::fiber::{CallName, Wait};

/// The caller as somebody else sees it who is to wake it.
#[derive(Clone, Debug)]
pub(crate) enum Waiter {
    Fiber(Fiber),
    Thread(Thread),
}

impl Waiter {
    /// The calling fiber; the calling thread where there is none.
    pub(crate) fn current() -> Self {
        match core::try_current() {
            Some(fiber) => Self::Fiber(fiber),
            None => Self::Thread(thread::current()),
        }
    }

    /// Ends the waiter's current or next [`wait`]. From any thread.
    pub(crate) fn wake(&self) {
        match self {
            Self::Fiber(fiber) => fiber.wake(),
            Self::Thread(thread) => thread.unpark(),
        }
    }
}

/// Waits until somebody wakes the caller's [`Waiter`]. May return early: look again in a loop.
///
/// It raises when the fiber is cancelled or past its deadline.
pub(crate) fn wait(call: CallName) -> Result<(), Unwinding> {
    wait_for(Wait::Call(call))
}

/// As [`wait`], with more to tell about what for.
pub(super) fn wait_for(wait: Wait) -> Result<(), Unwinding> {
    match core::try_park(wait) {
        Some(parked) => parked,
        None if thread::panicking() => Err(Unwinding),
        None => {
            thread::park();
            Ok(())
        }
    }
}

/// What [`wait`] would do first, raising included: asked before the caller stands in a line, so
/// that a fiber that is given up for swallowing its cancels stands in none.
pub(super) fn may_wait() -> Result<(), Unwinding> {
    match core::try_yield_point() {
        Some(may) => may,
        None if thread::panicking() => Err(Unwinding),
        None => Ok(()),
    }
}

/// A [`checkpoint`](crate::checkpoint), and then [`may_wait`]: what an operation that may succeed
/// without waiting begins with. It raises before anything is taken.
pub(super) fn checkpoint_and_may_wait() -> Result<(), Unwinding> {
    match core::try_checkpoint() {
        Some(may) => may,
        None if thread::panicking() => Err(Unwinding),
        None => Ok(()),
    }
}

/// Those to wake once the lock is released; room for one without an allocation.
#[derive(Default)]
#[must_use = "those in it sleep on until `wake_all` is called"]
pub(super) struct Wakes {
    first: Option<Waiter>,
    more: Vec<Waiter>,
}

impl Wakes {
    pub(super) fn push(&mut self, waiter: Waiter) {
        if self.first.is_none() {
            self.first = Some(waiter);
        } else {
            self.more.push(waiter);
        }
    }

    /// In the order of their coming.
    pub(super) fn wake_all(self) {
        if let Some(first) = self.first {
            first.wake();
        }
        if !self.more.is_empty() {
            self.more.iter().for_each(Waiter::wake);
        }
    }
}
