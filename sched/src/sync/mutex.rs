//! One at a time, in the order of coming.
//!
//! The gate decides who is in; the data lies in an inner lock that only the gate's holder touches.
//! That one is therefore never contended and never blocks a thread, and spares this file `unsafe`.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::gate::{Gate, Refused};
use super::owner;
use crate::core::Unwinding;

/// Lets one fiber or thread at a time at its data, in the order of their coming.
///
/// The lock is handed over: who releases it gives it to whoever has waited longest, and a newcomer
/// overtakes nobody. A fiber may wait for other things while it holds it.
///
/// **It is never poisoned.** A holder that panics, is cancelled or passes its deadline releases the
/// lock as it unwinds, and leaves the data as it was at that point. What must not be seen half done
/// is done between two yield points, or repaired by a destructor.
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
    gate: Gate,
    data: parking_lot::Mutex<T>,
}

/// Releases its [`Mutex`] when it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct MutexGuard<'m, T: ?Sized> {
    mutex: &'m Mutex<T>,
    /// `None` after a wait for a condition unwound: the lock is then not held any more.
    data: Option<parking_lot::MutexGuard<'m, T>>,
}

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { gate: Gate::new(1, 1), data: parking_lot::Mutex::new(value) }
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
    /// A yield point if somebody else holds the lock; otherwise it does not wait.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits leaves the line; if the lock
    /// was handed to it just then, it goes to the next.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if somebody else holds the lock and the caller unwinds, and so may not wait.
    ///
    /// # Panics
    ///
    /// When the fiber holds the lock itself and would wait for ever.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Unwinding> {
        self.enter()?;
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
        self.gate.try_acquire(1).then(|| self.guard())
    }

    /// The data, without a lock: the borrow proves that nobody else is in.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    fn enter(&self) -> Result<(), Unwinding> {
        match self.gate.acquire(1, &"Mutex::lock") {
            Ok(()) => Ok(()),
            Err(Refused::Held) => owner::deadlock("Mutex"),
            Err(Refused::Unwinding | Refused::Closed) => Err(Unwinding),
        }
    }

    /// The caller has passed the gate.
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, data: Some(self.open()) }
    }

    fn open(&self) -> parking_lot::MutexGuard<'_, T> {
        self.data.try_lock().expect("the gate lets in one at a time")
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Releases the lock and keeps the guard, for a condition to wait without it.
    pub(super) fn release(&mut self) {
        if self.data.take().is_some() {
            self.mutex.gate.release(1);
        }
    }

    /// Takes the lock again after [`release`](Self::release).
    pub(super) fn retake(&mut self) -> Result<(), Unwinding> {
        self.mutex.enter()?;
        self.data = Some(self.mutex.open());
        Ok(())
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_ref().expect(GIVEN_UP)
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data.as_mut().expect(GIVEN_UP)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Some(data) => data.fmt(f),
            None => f.write_str("<given up>"),
        }
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

/// What a guard says whose lock is gone.
const GIVEN_UP: &str = "the lock was given up by a wait for a condition that unwound";
