//! Many readers or one writer.
//!
//! Built as [`Mutex`](super::Mutex) is: a reader takes one permit of the gate, a writer all.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::raw_semaphore::{HeldPermits, RawSemaphore};
use crate::core::Unwinding;
use crate::fiber::CallName;

/// Lets in many readers at a time, or one writer, in the order of their coming.
///
/// Nobody overtakes: readers that come after a waiting writer wait behind it. So neither side
/// starves, and a fiber that reads already must not wait to read again: it may stand behind a
/// writer that waits for it.
///
/// It is never poisoned, as a [`Mutex`](super::Mutex) is not, and stays locked as that does if its
/// holder is given up.
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
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawSemaphore,
    data: parking_lot::RwLock<T>,
}

/// Lets one reader at the data of its [`RwLock`] until it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockReadGuard<'l, T: ?Sized> {
    // Dropped in this order: whoever passes the gate finds the data free.
    data: parking_lot::RwLockReadGuard<'l, T>,
    _held: HeldPermits<'l>,
}

/// Lets the writer at the data of its [`RwLock`] until it is dropped. It stays on its thread.
#[must_use = "the lock is released when this is dropped"]
pub struct RwLockWriteGuard<'l, T: ?Sized> {
    // Dropped in this order: whoever passes the gate finds the data free.
    data: parking_lot::RwLockWriteGuard<'l, T>,
    _held: HeldPermits<'l>,
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
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
    /// Waits until no writer is in and none waits.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if a writer is in, or somebody waits, and lets others run now and
    /// then even if not.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits leaves the line, and holds
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

    /// Waits until nobody else is in.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if somebody is in, and lets others run now and then even if not.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits leaves the line, and lets
    /// the readers in that waited behind it.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if it would have to wait and unwinds.
    ///
    /// # Deadlocks
    ///
    /// A fiber that is the writer already waits; see [`Mutex::lock`](super::Mutex::lock). One that
    /// holds a reader's guard waits for itself as well, and that is not recognized.
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

    /// The data, without a lock: the borrow proves that nobody else is in.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    fn enter(&self, need: usize, call: CallName) -> Result<(), Unwinding> {
        // The gate is never closed, so there is one reason.
        self.raw.acquire(need, call).map_err(|_| Unwinding)
    }

    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        let data = self.data.try_read().expect("the gate lets no writer in beside a reader");
        RwLockReadGuard { data, _held: HeldPermits::new(&self.raw, 1) }
    }

    fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        let data = self.data.try_write().expect("the gate lets nobody in beside a writer");
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

/// The gate's permits. Far below the inner lock's own limit of readers, and above any number of
/// fibers that fits into memory.
const READERS_MAX: usize = 1 << 30;
