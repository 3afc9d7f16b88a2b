//! A future as a thing to `select` on.
//!
//! `select` polls the future where it looks at its other things, and only if the future's waker was
//! called since the last poll. The waker wakes the `select` that is in progress.
//!
//! A poll may wait, as any code on a fiber may, and consume a wake-up that was meant for the
//! `select` around it. So after a poll that found the future pending the caller wakes itself: the
//! `select` looks at all its things once more before it waits.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

use super::Selectable;
use super::waiter::Wakes;
use super::watch::{Watch, Watcher, Watchers};

/// A future as a thing to [`select`](super::select()) on: ready when the future is, and polled by
/// the `select`.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sync::{Polled, after, oneshot, select}};
///
/// # async fn ask(question: oneshot::Sender<u32>) -> u32 {
/// #     let _ = question.send(1);
/// #     42
/// # }
/// sched::run(|| {
///     let (sender, question) = oneshot::channel();
///     let answer = Polled::new(Box::pin(ask(sender)));
///     loop {
///         match select(&[&answer, &question, &after(Duration::from_secs(10))]).unwrap() {
///             0 => break assert_eq!(answer.take(), Some(42)),
///             1 => drop(question.try_recv()),
///             _ => panic!("no answer in time"),
///         }
///     }
/// });
/// ```
///
/// It takes a future that is pinned: `Box::pin(future)` owns it, and `pin!(future).as_mut()`, with
/// the pin in a variable of its own, borrows it. When a `select` returns for another reason, the
/// future stays where it is, and a later `select` polls it again. The `Polled` is a future as well:
/// [`block_on`](crate::block_on()) waits for the rest of it. To drop it before it is ready drops an
/// owned future; a borrowed one stays with its owner, who can go on with it.
///
/// Several fibers may wait for it; one of them gets the output. A `select` panics if the future is
/// being polled at that moment, by a poll that waits. A future that panics makes the `select`
/// panic.
pub struct Polled<F: Future> {
    /// `None` when it is ready.
    future: RefCell<Option<F>>,
    output: RefCell<Option<F::Output>>,
    signal: Arc<Signal>,
}

impl<F: Future + Unpin> Polled<F> {
    /// Nothing is polled yet. Not a yield point.
    pub fn new(future: F) -> Self {
        let signal = Signal { woken: AtomicBool::new(true), watchers: Mutex::new(Watchers::new()) };
        Self {
            future: RefCell::new(Some(future)),
            output: RefCell::new(None),
            signal: Arc::new(signal),
        }
    }

    /// The output, if the future is ready and the output was not taken yet. Polls nothing: a
    /// [`select`](super::select()) does.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::future::ready;
    /// use straightline_sched::sync::{Polled, select};
    ///
    /// let polled = Polled::new(ready(5));
    /// assert_eq!(polled.take(), None); // not polled yet
    /// select(&[&polled]).unwrap(); // on a thread, which waits as a fiber does
    /// assert_eq!(polled.take(), Some(5));
    /// assert_eq!(polled.take(), None);
    /// ```
    pub fn take(&self) -> Option<F::Output> {
        self.output.borrow_mut().take()
    }

    /// Polls the future; true if it is ready, now or since an earlier poll.
    fn poll_inner(&self, cx: &mut Context<'_>) -> bool {
        let Ok(mut slot) = self.future.try_borrow_mut() else { is_polled() };
        let Some(future) = &mut *slot else { return true };
        match Pin::new(future).poll(cx) {
            Poll::Ready(output) => {
                self.output.replace(Some(output));
                // Dropped behind the borrow: its destructor is the user's code.
                let done = slot.take();
                drop(slot);
                drop(done);
                true
            }
            Poll::Pending => false,
        }
    }
}

impl<F: Future + Unpin> Selectable for Polled<F> {}

impl<F: Future + Unpin> Watch for Polled<F> {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.signal.watchers.lock().add(watcher);
        if self.signal.woken.swap(false, Ordering::AcqRel) {
            let waker = Waker::from(Arc::clone(&self.signal));
            if !self.poll_inner(&mut Context::from_waker(&waker)) {
                watcher.waiter().wake();
                return false;
            }
        }
        let Ok(future) = self.future.try_borrow() else { is_polled() };
        let is_ready = future.is_none();
        drop(future);
        if is_ready {
            // It is for every other fiber that waits for it, too.
            self.signal.wake_watchers();
        }
        is_ready
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.signal.watchers.lock().remove(watcher);
    }
}

/// The rest of the future, for [`block_on`](crate::block_on()).
impl<F: Future + Unpin> Future for Polled<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// When the output was taken already.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.poll_inner(cx) {
            return Poll::Pending;
        }
        match self.take() {
            Some(output) => Poll::Ready(output),
            None => panic!("straightline: a `Polled` is polled after its output was taken"),
        }
    }
}

/// Nothing is pinned in the wrapper.
impl<F: Future> Unpin for Polled<F> {}

impl<F: Future> fmt::Debug for Polled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").finish_non_exhaustive()
    }
}

#[cold]
fn is_polled() -> ! {
    panic!("straightline: a `Polled` is waited for while it is being polled");
}

/// What the future's waker reaches, from any thread.
struct Signal {
    /// The waker was called since the last poll began; true before the first poll.
    woken: AtomicBool,
    /// Each `select` in progress.
    watchers: Mutex<Watchers>,
}

impl Signal {
    fn wake_watchers(&self) {
        let mut wakes = Wakes::default();
        self.watchers.lock().wake_all(&mut wakes);
        wakes.wake_all();
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If the flag is up already, the call that raised it wakes the waiter, or a later `watch`
        // finds the flag.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.wake_watchers();
        }
    }
}
