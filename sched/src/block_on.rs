//! Waiting for a future.
//!
//! The future is polled on the caller's stack; while it is pending the caller parks, and the
//! future's `Waker` wakes it: through the run queue from the same thread, through the mailbox and
//! one ring of the driver from another. Each call has one waker, and no poll allocates.
//!
//! The waker keeps a flag. It tells a wake-up of the future from any other, so that the future is
//! polled no more often than it asked for; and it survives if something that the future waits for
//! by itself, such as a lock of this crate, takes the fiber's wake-up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::core::Unwinding;
use crate::sync::waiter::{Waiter, wait};

/// Runs a future to its end on the calling fiber, and returns its output.
///
/// The future need not be `Send`: it never leaves the fiber. It may be of any runtime that brings
/// no driver of its own to the thread: channels, timers on threads of their own, protocols over
/// the streams of `straightline-net`. Concurrency inside of it (`join!`, `FuturesUnordered`) works
/// as it does everywhere.
///
/// # Blocking
///
/// A yield point while the future is pending: other fibers run until its waker is called, from
/// whatever thread. A future that wakes itself lets every other ready fiber run once in between. On
/// a thread without fibers the thread waits.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds out of the wait, and the future is
/// dropped by that.
///
/// # Errors
///
/// [`Unwinding`] in a destructor of a fiber that unwinds already, which may not wait: the future is
/// then polled once, and dropped if that did not finish it.
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
/// })?;
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
            // It was raised during the poll. What came of it may be consumed already, and to poll
            // again right away would shut out the other fibers: wait for the caller's next turn.
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
    /// The waker was called since the last look.
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
        // A flag that is up already was raised by somebody who wakes the caller himself.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.caller.wake();
        }
    }
}
