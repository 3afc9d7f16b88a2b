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
/// The future need not be `Send`: it never leaves the fiber. Concurrency inside of it (`join!`,
/// `FuturesUnordered`) works as elsewhere. To wait for the first of a future and of other things,
/// make it a [`Polled`](crate::sync::Polled) and [`select`](crate::sync::select()) on it.
///
/// # Which crates work
///
/// | tried | needs | works |
/// |---|---|---|
/// | `futures-util`, channels (`tokio::sync`) | nothing | as it is |
/// | `tokio-postgres` 0.7, by `Config::connect_raw` | a stream | by `straightline-db` |
/// | `hyper` 1, `client::conn` | a stream | over `AsyncStream` |
/// | `h2` 0.4, client and server | a stream | over `AsyncStream` |
/// | `reqwest` 0.12 | tokio's runtime | in it |
/// | `sqlx` 0.8 | tokio's runtime | in it |
/// | `tokio_postgres::connect` | tokio's runtime | in it |
/// | `tokio::time`, `net`, `spawn`, `spawn_blocking` | tokio's runtime | in it |
///
/// `AsyncStream` is in the module `compat` of `straightline-net`. If the crate asks for `Send`, put
/// the stream into a [`ShardBound`](crate::ShardBound) first. A future that drives a connection
/// runs on a fiber of its own: `spawn(move || block_on(connection))`.
///
/// A shard has no tokio runtime. A future that needs one panics at its first poll, with *there is
/// no reactor running, must be called from the context of a Tokio 1.x runtime*, or *this
/// functionality requires a Tokio context*. Such a crate works with a runtime on a thread of its
/// own, which drives its sockets and timers. The future itself is still polled on the fiber:
///
/// ```
/// use std::future::{Future, poll_fn};
/// use std::sync::LazyLock;
/// use std::time::Duration;
/// use straightline_sched as sched;
/// use tokio::runtime::{Builder, Runtime};
///
/// static TOKIO: LazyLock<Runtime> = LazyLock::new(|| {
///     let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
///     runtime.expect("a thread for tokio")
/// });
///
/// /// `future`, for which `Handle::current()` is `TOKIO`.
/// fn in_tokio<F: Future>(future: F) -> impl Future<Output = F::Output> {
///     let mut future = Box::pin(future);
///     poll_fn(move |cx| {
///         let _entered = TOKIO.enter();
///         future.as_mut().poll(cx)
///     })
/// }
///
/// let answer = sched::run(|| {
///     sched::block_on(in_tokio(async {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         tokio::task::spawn_blocking(|| 42).await.expect("no panic")
///     }))
/// });
/// assert_eq!(answer, Ok(42));
/// ```
///
/// The crate `async-compat` has the same as `Compat`, with a runtime that it shares. Inside of such
/// a future wait by `await` alone: a call of this crate that waits would leave the runtime entered
/// for the other fibers. [`offload`](crate::offload()) is what `spawn_blocking` is elsewhere. In a
/// [simulation](crate::sim) threads of tokio are real, and so not determined by the seed.
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
