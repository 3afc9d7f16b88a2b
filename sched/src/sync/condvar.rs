//! Waiting for a condition that a mutex guards.

use std::fmt;

use parking_lot::Mutex as ShortMutex;

use super::line::{Line, Place, Rules};
use super::mutex::MutexGuard;
use super::waiter::{Wakes, may_wait};
use crate::core::Unwinding;

/// Waits until somebody who changed the data of a [`Mutex`](super::Mutex) says so.
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
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Condvar {
    /// Those who wait, first come first served.
    line: ShortMutex<Line>,
}

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Self { line: ShortMutex::new(Line::new()) }
    }

    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// A notification that comes after the lock was released is not missed. It may also return for
    /// no reason: look at the condition in a loop, or use [`wait_while`](Self::wait_while).
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here unwinds *without the lock*, since
    /// it could not wait for it any more: the guard is empty then, and who still uses it (behind a
    /// `catch_unwind`, in a destructor) panics. A notification that the fiber had got goes to the
    /// next.
    ///
    /// # Errors
    ///
    /// [`Unwinding`], with the lock held all the time, if the caller unwinds.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) -> Result<(), Unwinding> {
        // Raises with the lock held, before the caller stands in the line.
        may_wait()?;
        // In the line before the lock is free: whoever takes it finds the caller there.
        let place = Place::join(&self.line, self.line.lock(), RULES, 1);
        guard.release();
        place.wait_unclaimed(&"Condvar::wait")?;
        guard.retake()?;
        place.claim();
        Ok(())
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

    /// Wakes whoever has waited longest; does nothing if nobody waits. Not a yield point.
    pub fn notify_one(&self) {
        let mut wakes = Wakes::default();
        self.line.lock().call_front(&mut wakes);
        wakes.wake_all();
    }

    /// Wakes everybody who waits now. Not a yield point.
    pub fn notify_all(&self) {
        let mut wakes = Wakes::default();
        self.line.lock().dismiss_all(&mut wakes);
        wakes.wake_all();
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

/// Who leaves with a notification passes it on.
const RULES: Rules<Line> = Rules {
    line: |line| line,
    left: |line, called_for, wakes| {
        if called_for.is_some() {
            line.call_front(wakes);
        }
    },
};
