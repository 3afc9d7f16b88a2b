//! A waiter: a fiber of some shard, or a plain thread.
//!
//! Everything in `sync` blocks through this file, so it works for both: a job on another thread can
//! send to a fiber, and the thread of a test can wait for a fiber.

use std::thread::{self, Thread};
use std::time::Instant;

use crate::core::{self, Fiber, Unwinding};
use crate::fiber::{CallName, QueueWait, Standing, Wait};

/// The caller, for the fiber or thread that is to wake it.
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

/// Waits until another fiber or thread wakes the caller's [`Waiter`]. May return early: look again
/// in a loop.
///
/// It raises when the fiber is cancelled or past its deadline.
pub(crate) fn wait(call: CallName) -> Result<(), Unwinding> {
    wait_until(None, Wait::Call(call))
}

/// As [`wait`], in a queue that the fiber leaves if it is abandoned meanwhile, and not longer than
/// until `due`.
pub(super) fn wait_in(standing: &Standing<'_>, due: Option<Instant>) -> Result<(), Unwinding> {
    // SAFETY: it goes into the wait that follows, and `park` keeps it as the fiber's only while
    // that is suspended below this frame: it takes it back before it returns or raises. A fiber
    // that is abandoned keeps its frames for ever.
    let queue_wait = unsafe { QueueWait::new(standing) };
    wait_until(due, Wait::Queue(queue_wait))
}

fn wait_until(due: Option<Instant>, wait: Wait) -> Result<(), Unwinding> {
    let parked = match due {
        None => core::try_park(wait),
        Some(due) => core::try_park_until(due, wait),
    };
    match (parked, due) {
        (Some(parked), _) => return parked,
        (None, _) if !core::may_block_thread() => return Err(Unwinding),
        (None, None) => thread::park(),
        (None, Some(due)) => thread::park_timeout(due.saturating_duration_since(core::now())),
    }
    Ok(())
}

/// Does what [`wait`] would do first, raising included. The caller calls it before it joins a
/// queue, so that it does nothing in the queue but wait.
///
/// The caller looks again after it, since a hook of `before_park` may have waited.
pub(super) fn may_wait() -> Result<(), Unwinding> {
    match core::try_before_wait() {
        Some(may) => may,
        None if !core::may_block_thread() => Err(Unwinding),
        None => Ok(()),
    }
}

/// A [`checkpoint`](crate::checkpoint) that is always a yield point: an operation of a channel
/// begins with it. It raises before anything is taken.
pub(super) fn checkpoint() -> Result<(), Unwinding> {
    match core::try_checkpoint() {
        Some(may) => may,
        None if !core::may_block_thread() => Err(Unwinding),
        None => Ok(()),
    }
}

/// The waiters to wake once the lock is released; room for one without an allocation.
#[derive(Default)]
#[must_use = "the waiters in it sleep on until `wake_all` is called"]
pub(crate) struct Wakes {
    first: Option<Waiter>,
    more: Vec<Waiter>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waiter: Waiter) {
        if self.first.is_none() {
            self.first = Some(waiter);
        } else {
            self.more.push(waiter);
        }
    }

    /// The waiters, in the order in which they were pushed.
    pub(crate) fn into_waiters(self) -> Vec<Waiter> {
        self.first.into_iter().chain(self.more).collect()
    }

    /// In the order in which they were pushed.
    pub(crate) fn wake_all(self) {
        if let Some(first) = self.first {
            first.wake();
        }
        if !self.more.is_empty() {
            self.more.iter().for_each(Waiter::wake);
        }
    }
}
