//! Waiting for a condition that a mutex guards.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex as ShortMutex;

use super::mutex::MutexGuard;
use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use crate::core::{Unwinding, is_to_end, now};

/// Waits for a notification that the data of a [`Mutex`](super::Mutex) has changed.
///
/// ```
/// use std::{collections::VecDeque, rc::Rc};
/// use straightline_sched::{self as sched, sync::{Condvar, Mutex}};
///
/// sched::run(|| {
///     let jobs = Rc::new((Mutex::new(VecDeque::new()), Condvar::new()));
///     let worker = sched::spawn({
///         let jobs = Rc::clone(&jobs);
///         move || {
///             let mut queue = jobs.0.lock().unwrap();
///             jobs.1.wait_while(&mut queue, |queue| queue.is_empty()).unwrap();
///             queue.pop_front()
///         }
///     });
///     sched::yield_now(); // the worker waits
///     jobs.0.lock().unwrap().push_back("first");
///     jobs.1.notify_one();
///     assert_eq!(worker.join().unwrap(), Some("first"));
/// });
/// ```
pub struct Condvar {
    /// The waiters, the first that came first.
    queue: ShortMutex<WaitQueue>,
}

/// Whether a wait of a [`Condvar`] ended because its timeout had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl Condvar {
    /// A condition variable without waiters.
    pub const fn new() -> Self {
        Self { queue: ShortMutex::new(WaitQueue::new()) }
    }

    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// A notification that comes after the lock was released is not missed. The call may also
    /// return without a notification: look at the condition in a loop, or use
    /// [`wait_while`](Self::wait_while).
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here takes the lock again first, as
    /// after every other end of the wait, and then unwinds: its destructors find the guard as it
    /// was. Neither a cancel nor a deadline ends that wait for the lock, so the fiber does not end
    /// before the holder releases the lock. A notification that the fiber had got goes to the next
    /// waiter.
    ///
    /// # Errors
    ///
    /// [`Unwinding`], with the lock held, if the caller unwinds.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) -> Result<(), Unwinding> {
        self.wait_until(guard, None).map(drop)
    }

    /// As [`wait`](Self::wait), but for at most `timeout` until it takes the lock again. The result
    /// says whether the time was over before a notification came.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sync::{Condvar, Mutex}};
    ///
    /// sched::run(|| {
    ///     let (lock, changed) = (Mutex::new(0), Condvar::new());
    ///     let mut guard = lock.lock().unwrap();
    ///     let waited = changed.wait_timeout(&mut guard, Duration::from_millis(2)).unwrap();
    ///     assert!(waited.timed_out()); // no other fiber has changed it
    ///     *guard += 1;
    /// });
    /// ```
    pub fn wait_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> Result<WaitTimeoutResult, Unwinding> {
        self.wait_until(guard, after(timeout)).map(|timed_out| WaitTimeoutResult { timed_out })
    }

    /// As [`wait_while`](Self::wait_while), but for at most `timeout`. The result says whether the
    /// time was over with `condition` still true.
    ///
    /// # Blocking
    ///
    /// A yield point if `condition` is true.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Self::wait_while).
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sync::{Condvar, Mutex}};
    ///
    /// sched::run(|| {
    ///     let (lock, changed) = (Mutex::new(Vec::<u8>::new()), Condvar::new());
    ///     let mut bytes = lock.lock().unwrap();
    ///     let timeout = Duration::from_millis(2);
    ///     let waited = changed.wait_timeout_while(&mut bytes, timeout, |bytes| bytes.is_empty());
    ///     assert!(waited.unwrap().timed_out());
    ///     assert!(bytes.is_empty());
    /// });
    /// ```
    pub fn wait_timeout_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<WaitTimeoutResult, Unwinding> {
        let due = after(timeout);
        let mut timed_out = false;
        while condition(guard) {
            if timed_out {
                return Ok(WaitTimeoutResult { timed_out });
            }
            timed_out = self.wait_until(guard, due)?;
        }
        Ok(WaitTimeoutResult { timed_out: false })
    }

    /// Waits until it is notified or `due`; returns whether that came first. The lock is held in
    /// any case when this returns or unwinds.
    fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        due: Option<Instant>,
    ) -> Result<bool, Unwinding> {
        // Raises before the caller stands in the queue.
        may_wait()?;
        // The caller joins the queue before it frees the lock: the next holder finds it there.
        let ticket = Ticket::join(&self.queue, self.queue.lock(), POLICY, 1);
        let wait = || ticket.wait_unclaimed(&"Condvar::wait", due);
        let notified = guard.unlocked(wait, &|| ticket.leave())?;
        if is_to_end() {
            // The caller unwinds in a moment, so it passes its notification on.
            ticket.leave();
            may_wait()?;
        } else {
            ticket.claim();
        }
        Ok(!notified)
    }

    /// Waits until `condition` is false, as [`wait`](Self::wait) does; not at all if it is.
    ///
    /// # Blocking
    ///
    /// A yield point if `condition` is true.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`Unwinding`], with the lock held, if it would have to wait and the caller unwinds.
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), Unwinding> {
        while condition(guard) {
            self.wait(guard)?;
        }
        Ok(())
    }

    /// Wakes the caller that has waited longest; does nothing if none waits. Not a yield point.
    pub fn notify_one(&self) {
        let mut wakes = Wakes::default();
        self.queue.lock().grant_front(&mut wakes);
        wakes.wake_all();
    }

    /// Wakes all callers that wait now. Not a yield point.
    pub fn notify_all(&self) {
        let mut wakes = Wakes::default();
        self.queue.lock().dismiss_all(&mut wakes);
        wakes.wake_all();
    }
}

impl WaitTimeoutResult {
    /// Whether the timeout had passed.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// `None` if that is never.
fn after(timeout: Duration) -> Option<Instant> {
    now().checked_add(timeout)
}

/// A waiter that leaves with a notification passes it on.
const POLICY: QueuePolicy<WaitQueue> = QueuePolicy {
    queue: |queue| queue,
    left: |queue, granted, wakes| {
        if granted.is_some() {
            queue.grant_front(wakes);
        }
    },
};
