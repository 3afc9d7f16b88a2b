//! A lock that fibers and threads take in the order in which they asked.
//!
//! A raw semaphore with one permit decides which caller holds the lock. The data lies in an inner
//! lock that only the holder of the permit touches. So the inner lock is never contended and never
//! blocks a thread, and this file needs no `unsafe`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::raw_semaphore::{HeldPermits, RawSemaphore};
use crate::core::Unwinding;
use crate::fiber::CallName;

/// Gives one fiber or thread at a time access to its data, in the order in which they asked.
///
/// The lock is handed over: its holder releases it to the waiter that has waited longest, and no
/// later caller overtakes. A fiber may wait for other things while it holds the lock.
///
/// **It is never poisoned.** A holder that panics, is cancelled or passes its deadline releases the
/// lock as it unwinds, and leaves the data as it was at that point. So make a change that others
/// must not see half done between two yield points, or repair it in a destructor.
///
/// A holder that is *abandoned*, because it swallowed its cancels or stayed in an `uncancellable`
/// section, runs no destructors any more: the locks that it holds stay locked. The listing of the
/// waiting fibers tells its name ([`inspect`](crate::inspect())).
///
/// Within one shard a `RefCell` or `Cell` is enough where no wait comes in between.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, sync::Mutex};
///
/// sched::run(|| {
///     let total = Rc::new(Mutex::new(0));
///     let fibers: Vec<_> = (1..=4)
///         .map(|amount| {
///             let total = Rc::clone(&total);
///             sched::spawn(move || {
///                 let mut total = total.lock().unwrap();
///                 let before = *total;
///                 sched::yield_now(); // no other fiber gets the lock
///                 *total = before + amount;
///             })
///         })
///         .collect();
///     fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
///     assert_eq!(*total.lock().unwrap(), 10);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawSemaphore,
    data: parking_lot::Mutex<T>,
}

/// Releases its [`Mutex`] when it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct MutexGuard<'m, T: ?Sized> {
    // Dropped in this order: the next holder of the permit finds the inner lock free.
    data: parking_lot::MutexGuard<'m, T>,
    held: HeldPermits<'m>,
}

impl<T> Mutex<T> {
    /// A mutex that is free.
    pub const fn new(value: T) -> Self {
        Self { raw: RawSemaphore::new(1, 1), data: parking_lot::Mutex::new(value) }
    }

    /// The data, out of the mutex.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the caller holds the lock.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if the lock is held, and lets other fibers run now and then even if
    /// it is free.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here does not hold the lock. It leaves
    /// the queue, and a lock that it was granted just then goes to the next waiter.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if another fiber or thread holds the lock and the caller unwinds, and so may
    /// not wait.
    ///
    /// # Deadlocks
    ///
    /// A fiber that asks for a lock that it holds waits, since its guard may have moved to another
    /// fiber meanwhile. If that lasts, it is reported ([`Report::Circle`](crate::Report)), and so
    /// is a circle of several fibers.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Unwinding> {
        // This semaphore is never closed, so there is one reason.
        self.raw.acquire(1, CALL).map_err(|_| Unwinding)?;
        Ok(self.guard())
    }

    /// The guard, if the lock is free and no caller waits for it.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::Mutex;
    ///
    /// let mutex = Mutex::new(5);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_none());
    /// drop(guard);
    /// assert_eq!(mutex.try_lock().as_deref(), Some(&5));
    /// ```
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_acquire(1).then(|| self.guard())
    }

    /// The data, without a lock: the exclusive borrow proves that no guard exists.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// The caller has the permit.
    fn guard(&self) -> MutexGuard<'_, T> {
        let data = self.data.try_lock().expect("there is one permit");
        MutexGuard { data, held: HeldPermits::new(&self.raw, 1) }
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Releases the lock while `wait` runs, and returns or unwinds with the lock held again:
    /// neither a cancel nor a deadline ends that wait.
    ///
    /// Calls `leave` when the caller does not need its ticket of the condition any more: before it
    /// waits for the lock if `wait` was not true, and otherwise if it is abandoned meanwhile.
    pub(super) fn unlocked(
        &mut self,
        wait: impl FnOnce() -> Result<bool, Unwinding>,
        leave: &dyn Fn(),
    ) -> Result<bool, Unwinding> {
        let raw = self.held.raw();
        let outcome = parking_lot::MutexGuard::unlocked(&mut self.data, || {
            raw.release(1);
            // A fiber that unwinds may not wait, so the unwind itself has to.
            let outcome = catch_unwind(AssertUnwindSafe(wait));
            if !matches!(outcome, Ok(Ok(true))) {
                leave();
            }
            raw.acquire_masked(1, CALL, leave);
            outcome
        });
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(data) => f.debug_struct("Mutex").field("data", &&*data).finish_non_exhaustive(),
            None => f.write_str("Mutex { <locked> }"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

const CALL: CallName = &"Mutex::lock";
