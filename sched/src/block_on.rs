//! Waiting for a future.
//!
//! The future is polled on the caller's stack. While it is pending the caller parks, and the
//! future's `Waker` wakes it: from the same thread through the run queue, from another one through
//! the mailbox and one notification of the driver. Each call has one waker, and no poll allocates.
//!
//! The waker has a flag. The flag tells a wake-up of the future from other wake-ups, so the future
//! is polled no more often than it asked for. The flag also keeps the wake-up if a lock of this
//! crate, for which the future waits, consumes the fiber's wake-up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::core::Unwinding;
use crate::sync::waiter::{Waiter, wait};

/// Runs a future to its end on the calling fiber, and returns its output.
///
/// The future need not be `Send`: it never leaves the fiber. It may be written for any runtime, as
/// long as it needs no driver of its own on the thread: channels, timers on threads of their own,
/// protocols over the streams of `straightline-net`. Concurrency inside of it (`join!`,
/// `FuturesUnordered`) works as elsewhere.
///
/// # Blocking
///
/// A yield point while the future is pending: other fibers run until its waker is called, from any
/// thread. When a future wakes itself, every other ready fiber runs once in between. On a thread
/// without fibers the thread waits.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds out of the wait, which drops the future.
///
/// # Errors
///
/// [`Unwinding`] in a destructor of a fiber that unwinds already, which may not wait: the future is
/// then polled once, and dropped if it is still pending.
///
/// # Panics
///
/// When the future does.
///
/// ```
/// use std::future::poll_fn;
/// use std::rc::Rc;
/// use std::task::Poll;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (mut polls, local) = (0, Rc::new(5)); // not `Send`
///     let future = poll_fn(|cx| {
///         polls += 1;
///         if polls == 3 {
///             return Poll::Ready(*local);
///         }
///         cx.waker().wake_by_ref();
///         Poll::Pending
///     });
///     assert_eq!(sched::block_on(future), Ok(5));
/// });
/// # std::io::Result::Ok(())
/// ```
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Unwinding> {
    let mut future = pin!(future);
    let signal = Arc::new(Signal { caller: Waiter::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&signal));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        if signal.is_raised() {
            // The flag was raised during the poll. The wake-up itself may be consumed already, and
            // to poll again at once would shut out the other fibers: wait for the caller's next
            // turn.
            signal.caller.wake();
            wait(&"block_on")?;
            continue;
        }
        loop {
            wait(&"block_on")?;
            if signal.is_raised() {
                break;
            }
        }
    }
}

struct Signal {
    caller: Waiter,
    /// The waker was called since the caller looked last.
    woken: AtomicBool,
}

impl Signal {
    fn is_raised(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If the flag is up already, the call that raised it wakes the caller.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.caller.wake();
        }
    }
}
