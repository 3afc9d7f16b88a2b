//! A limit on how many fibers and threads do something at the same time.

use std::fmt;

use super::raw_semaphore::{RawSemaphore, Refused};
use crate::core::Unwinding;

/// Hands out a limited number of permits, in the order of asking.
///
/// A fiber that asks for many permits waits until so many are free, and no later caller is served
/// before it: neither the big request nor the small one starves.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, sync::Semaphore};
///
/// sched::run(|| {
///     let connections = Rc::new(Semaphore::new(2));
///     for _ in 0..10 {
///         let connections = Rc::clone(&connections);
///         sched::spawn(move || {
///             let _permit = connections.acquire(1).unwrap();
///             sched::yield_now(); // two at a time come here
///         });
///     }
///     let _all = connections.acquire(2).unwrap(); // the last in the queue
/// });
/// ```
pub struct Semaphore {
    raw: RawSemaphore,
}

/// Some permits of a [`Semaphore`], given back when it is dropped.
#[must_use = "the permits are given back when this is dropped"]
#[derive(Debug)]
pub struct SemaphorePermit<'s> {
    semaphore: &'s Semaphore,
    count: usize,
}

/// Why [`Semaphore::acquire`] returned no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The semaphore is closed.
    Closed,
    /// There are not enough permits, and the caller unwinds and so may not wait.
    Unwinding,
}

/// Why [`Semaphore::try_acquire`] returned no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// There are not enough permits, or others wait for them already.
    NoPermits,
}

impl Semaphore {
    /// A semaphore with that many permits.
    pub const fn new(permits: usize) -> Self {
        Self { raw: RawSemaphore::new(permits, NEVER_FULL) }
    }

    /// Waits for `count` permits.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits if too few permits are free, or other callers wait already, and lets
    /// other fibers run now and then even if it need not wait.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline while it waits has taken nothing. Permits
    /// that it was granted just then go to the next waiter.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Closed`] after [`close`](Self::close), also if the caller waits already;
    /// [`AcquireError::Unwinding`] if it would have to wait and unwinds.
    pub fn acquire(&self, count: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        match self.raw.acquire(count, &"Semaphore::acquire") {
            Ok(()) => Ok(SemaphorePermit { semaphore: self, count }),
            Err(Refused::Closed) => Err(AcquireError::Closed),
            Err(Refused::Unwinding) => Err(AcquireError::Unwinding),
        }
    }

    /// Takes `count` permits if they can be had without waiting.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says whether it is worth trying again.
    ///
    /// ```
    /// use straightline_sched::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(3);
    /// let two = semaphore.try_acquire(2).unwrap();
    /// assert_eq!(semaphore.try_acquire(2).unwrap_err(), TryAcquireError::NoPermits);
    /// drop(two);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    pub fn try_acquire(&self, count: usize) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        if self.raw.try_acquire(count) {
            return Ok(SemaphorePermit { semaphore: self, count });
        }
        Err(if self.is_closed() { TryAcquireError::Closed } else { TryAcquireError::NoPermits })
    }

    /// Adds permits for good. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// semaphore.add_permits(2);
    /// semaphore.try_acquire(1).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    ///
    /// # Panics
    ///
    /// When there would be more than `usize::MAX` in all, including those that are out.
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        assert!(self.raw.add(count), "straightline: a semaphore has at most usize::MAX permits");
    }

    /// How many permits are free. Not a yield point.
    pub fn available_permits(&self) -> usize {
        self.raw.free()
    }

    /// Hands out no more permits; the waiters get an error. Permits that are out stay valid. Not a
    /// yield point.
    ///
    /// ```
    /// use straightline_sched::sync::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(3);
    /// semaphore.close();
    /// assert_eq!(semaphore.acquire(1).unwrap_err(), AcquireError::Closed);
    /// ```
    pub fn close(&self) {
        self.raw.close();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }
}

impl SemaphorePermit<'_> {
    /// How many permits it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes the permits out of circulation for good, until
    /// [`add_permits`](Semaphore::add_permits) brings them back.
    pub fn forget(mut self) {
        self.semaphore.raw.forget(self.count);
        self.count = 0;
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.raw.release(self.count);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => CLOSED,
            Self::Unwinding => "the caller may not wait for a permit",
        })
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => CLOSED,
            Self::NoPermits => "no permit is free",
        })
    }
}

const CLOSED: &str = "the semaphore is closed, and gives no more permits";

impl std::error::Error for AcquireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => None,
            Self::Unwinding => Some(&Unwinding),
        }
    }
}

impl std::error::Error for TryAcquireError {}

/// No caller is ever the owner: permits can be added at any time.
const NEVER_FULL: usize = usize::MAX;
