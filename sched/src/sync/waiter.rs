//! Who waits: a fiber of some shard, or a plain thread.
//!
//! Everything in `sync` blocks through this file, and so works from both sides: a job on another
//! thread can send to a fiber, and a test can wait for one.

use std::thread::{self, Thread};

use crate::core::{self, Fiber, Unwinding};
use crate::fiber::Wait;

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
pub(crate) fn wait(call: &'static str) -> Result<(), Unwinding> {
    match core::try_park(Wait::Call(call)) {
        Some(parked) => parked,
        None if thread::panicking() => Err(Unwinding),
        None => {
            thread::park();
            Ok(())
        }
    }
}
