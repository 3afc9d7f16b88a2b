//! A lock for many readers or one writer.
//!
//! Built as [`Mutex`](super::Mutex) is: a reader takes one permit of the raw semaphore, a writer
//! takes all.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::raw_semaphore::{HeldPermits, RawSemaphore};
use crate::core::Unwinding;
use crate::fiber::CallName;

/// Gives many readers at a time, or one writer, access to its data, in the order in which they
/// asked.
///
/// No caller overtakes: readers that come after a waiting writer wait behind it. So neither side
/// starves. A fiber that holds a reader's guard must not wait for a second one: it may stand behind
/// a writer that waits for the first.
///
/// As a [`Mutex`](super::Mutex), it is never poisoned, and stays locked if its holder is abandoned.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, sync::RwLock};
///
/// sched::run(|| {
///     let routes = Rc::new(RwLock::new(vec!["/"]));
///     let (one, two) = (routes.read().unwrap(), routes.try_read().unwrap());
///     let writer = sched::spawn({
///         let routes = Rc::clone(&routes);
///         move || routes.write().unwrap().push("/new")
///     });
///     sched::yield_now();
///     assert_eq!(one.len() + two.len(), 2); // the writer waits
///     drop((one, two));
///     writer.join().unwrap();
///     assert_eq!(routes.read().unwrap().len(), 2);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawSemaphore,
    data: parking_lot::RwLock<T>,
}

/// A reader's access to the data of its [`RwLock`], until it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockReadGuard<'l, T: ?Sized> {
    // Dropped in this order: the next holder of the permits finds the inner lock free.
    data: parking_lot::RwLockReadGuard<'l, T>,
    _held: HeldPermits<'l>,
}

/// The writer's access to the data of its [`RwLock`], until it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockWriteGuard<'l, T: ?Sized> {
    // Dropped in this order: the next holder of the permits finds the inner lock free.
    data: parking_lot::RwLockWriteGuard<'l, T>,
    _held: HeldPermits<'l>,
}

impl<T> RwLock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawSemaphore::new(READERS_MAX, READERS_MAX),
            data: parking_lot::RwLock::new(value),
        }
    }

    /// The data, out of the lock.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until no writer holds the lock and no earlier caller waits.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if a writer holds the lock, or another caller waits, and lets other
    /// fibers run now and then even if not.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits leaves the queue, and holds
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if it would have to wait and unwinds.
    ///
    /// # Deadlocks
    ///
    /// A fiber that is the writer itself waits; see [`Mutex::lock`](super::Mutex::lock).
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, Unwinding> {
        self.enter(1, &"RwLock::read")?;
        Ok(self.read_guard())
    }

    /// The reader's guard, if it can be had without waiting. Not a yield point.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_acquire(1).then(|| self.read_guard())
    }

    /// Waits until the caller alone holds the lock.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if the lock is held, and lets other fibers run now and then even if
    /// not.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits leaves the queue, and the
    /// readers that waited behind it get the lock.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if it would have to wait and unwinds.
    ///
    /// # Deadlocks
    ///
    /// A fiber that is the writer already waits; see [`Mutex::lock`](super::Mutex::lock). A fiber
    /// that holds a reader's guard waits for itself as well, and that is not recognized.
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, Unwinding> {
        self.enter(READERS_MAX, &"RwLock::write")?;
        Ok(self.write_guard())
    }

    /// The writer's guard, if it can be had without waiting. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::RwLock;
    ///
    /// let lock = RwLock::new(5);
    /// *lock.try_write().unwrap() += 1;
    /// let reader = lock.try_read().unwrap();
    /// assert!(lock.try_write().is_none());
    /// assert_eq!(*reader, 6);
    /// ```
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_acquire(READERS_MAX).then(|| self.write_guard())
    }

    /// The data, without a lock: the exclusive borrow proves that no guard exists.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    fn enter(&self, need: usize, call: CallName) -> Result<(), Unwinding> {
        // This semaphore is never closed, so there is one reason.
        self.raw.acquire(need, call).map_err(|_| Unwinding)
    }

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        let data = self.data.try_read().expect("a reader's permit excludes a writer");
        RwLockReadGuard { data, _held: HeldPermits::new(&self.raw, 1) }
    }

    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        let data = self.data.try_write().expect("a writer has all permits");
        RwLockWriteGuard { data, _held: HeldPermits::new(&self.raw, READERS_MAX) }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(data) => f.debug_struct("RwLock").field("data", &&*data).finish_non_exhaustive(),
            None => f.write_str("RwLock { <locked> }"),
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// The permits of the raw semaphore. Far below the inner lock's own limit of readers, and above any
/// number of fibers that fits into memory.
const READERS_MAX: usize = 1 << 30;
