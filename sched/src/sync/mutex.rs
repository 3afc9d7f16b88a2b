//! One at a time, in the order of coming.
//!
//! The gate decides who is in; the data lies in an inner lock that only the gate's holder touches.
//! That one is therefore never contended and never blocks a thread, and spares this file `unsafe`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::raw_semaphore::{HeldPermits, RawSemaphore};
use crate::core::Unwinding;
use crate::fiber::CallName;

/// Lets one fiber or thread at a time at its data, in the order of their coming.
///
/// The lock is handed over: who releases it gives it to whoever has waited longest, and a newcomer
/// overtakes nobody. A fiber may wait for other things while it holds it.
///
/// **It is never poisoned.** A holder that panics, is cancelled or passes its deadline releases the
/// lock as it unwinds, and leaves the data as it was at that point. What must not be seen half done
/// is done between two yield points, or repaired by a destructor.
///
/// A holder that is *given up*, because it swallowed its cancels or stayed in an `uncancellable`
/// section, has no destructors any more: what it holds stays locked. The listing of those that wait
/// tells its name ([`inspect`](crate::inspect())).
///
/// Within one shard a `RefCell` or `Cell` does where nothing waits in between.
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
///                 sched::yield_now(); // nobody else comes in
///                 *total = before + amount;
///             })
///         })
///         .collect();
///     fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
///     assert_eq!(*total.lock().unwrap(), 10);
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawSemaphore,
    data: parking_lot::Mutex<T>,
}

/// Releases its [`Mutex`] when it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct MutexGuard<'m, T: ?Sized> {
    // Dropped in this order: whoever passes the gate finds the data free.
    data: parking_lot::MutexGuard<'m, T>,
    held: HeldPermits<'m>,
}

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { raw: RawSemaphore::new(1, 1), data: parking_lot::Mutex::new(value) }
    }

    /// The data, out of the mutex.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the caller is the only one in.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if the lock is held, and lets others run now and then even if it is
    /// free.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here does not hold the lock: it leaves
    /// the line, and if the lock was handed to it just then, it goes to the next.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if somebody else holds the lock and the caller unwinds, and so may not wait.
    ///
    /// # Deadlocks
    ///
    /// A fiber that asks for a lock that it holds waits, since its guard may have moved to another
    /// fiber meanwhile. If that lasts, it is reported ([`Report::Circle`](crate::Report)), and so
    /// is a circle of several fibers.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Unwinding> {
        // The gate is never closed, so there is one reason.
        self.raw.acquire(1, CALL).map_err(|_| Unwinding)?;
        Ok(self.guard())
    }

    /// The guard, if it can be had without waiting: nobody is in, and nobody waits.
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

    /// The data, without a lock: the borrow proves that nobody else is in.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// The caller has passed the gate.
    fn guard(&self) -> MutexGuard<'_, T> {
        let data = self.data.try_lock().expect("the gate lets in one at a time");
        MutexGuard { data, held: HeldPermits::new(&self.raw, 1) }
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Releases the lock while `wait` runs, and returns or unwinds with the lock held again:
    /// neither a cancel nor a deadline ends that wait.
    ///
    /// Calls `leave` when the place that the caller waited in is not needed any more: before it
    /// waits for the lock if `wait` was not true, and otherwise if it is given up meanwhile.
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
