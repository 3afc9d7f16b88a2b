//! A value that is made once, at its first use.
//!
//! std's `OnceLock` holds the value. A raw semaphore with one permit lets one caller at a time make
//! it, because an initialiser may wait, and must not block the thread of the fibers that want the
//! value meanwhile.

use std::fmt;
use std::sync::OnceLock;
use std::thread;

use super::raw_semaphore::{HeldPermits, RawSemaphore};
use crate::core::{Unwinding, try_current};

/// A cell that is written once. The initialiser may wait, and runs in one fiber at a time.
///
/// ```
/// use straightline_sched::{self as sched, sync::OnceCell};
///
/// static GREETING: OnceCell<String> = OnceCell::new();
///
/// sched::run(|| {
///     let fibers: Vec<_> = (0..3)
///         .map(|number| {
///             sched::spawn(move || {
///                 let greeting = GREETING.get_or_init(|| {
///                     sched::yield_now(); // as if it were read from somewhere
///                     format!("hello from {number}")
///                 });
///                 greeting.cloned()
///             })
///         })
///         .collect();
///     for fiber in fibers {
///         assert_eq!(fiber.join().unwrap().as_deref(), Ok("hello from 0"));
///     }
/// });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    /// Its permit is held by the caller that makes the value.
    raw: RawSemaphore,
}

impl<T> OnceCell<T> {
    /// A cell without a value.
    pub const fn new() -> Self {
        Self { value: OnceLock::new(), raw: RawSemaphore::new(1, 1) }
    }

    /// The value, if there is one. Not a yield point.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if there is one. Not a yield point.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// The value, out of the cell.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// The value, made by `initialiser` if there is none.
    ///
    /// # Blocking
    ///
    /// Not a yield point if the value exists. Otherwise it is one: it waits if another caller is
    /// making the value, and lets other fibers run now and then even if not. `initialiser`, which
    /// runs on the caller's fiber, may be one too.
    ///
    /// # Cancellation
    ///
    /// If `initialiser` unwinds, for whatever reason, the cell stays empty, and the next waiter
    /// runs its own.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if another caller is making the value and this caller unwinds.
    ///
    /// # Panics
    ///
    /// When `initialiser` asks for the value itself.
    pub fn get_or_init(&self, initialiser: impl FnOnce() -> T) -> Result<&T, Unwinding> {
        self.get_or_try_init(|| Ok(initialiser()))
    }

    /// As [`get_or_init`](Self::get_or_init), but `initialiser` may fail: then the cell stays empty
    /// and the next caller runs its own.
    ///
    /// # Blocking
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Cancellation
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// The error that `initialiser` returned; or [`Unwinding`], as an `E`, if another caller is
    /// making the value and this caller unwinds.
    ///
    /// # Panics
    ///
    /// When `initialiser` asks for the value itself.
    ///
    /// ```
    /// use std::io;
    /// use straightline_sched::sync::OnceCell;
    ///
    /// let cell = OnceCell::new();
    /// assert!(cell.get_or_try_init(|| Err(io::Error::other("not yet"))).is_err());
    /// assert_eq!(cell.get_or_try_init(|| io::Result::Ok(5))?, &5);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn get_or_try_init<E: From<Unwinding>>(
        &self,
        initialiser: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let making = self.make()?;
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let value = initialiser()?;
        let value = self.value.get_or_init(|| value);
        drop(making);
        Ok(value)
    }

    /// Fills the cell if it is empty. If another caller is making a value, waits for that first.
    ///
    /// # Blocking
    ///
    /// A yield point if another caller is making a value.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here drops `value` with its frame.
    ///
    /// # Errors
    ///
    /// `value` itself, if the cell is full already, or if another caller is making a value and this
    /// caller unwinds.
    ///
    /// # Panics
    ///
    /// When the initialiser of the same cell calls it.
    ///
    /// ```
    /// use straightline_sched::sync::OnceCell;
    ///
    /// let cell = OnceCell::new();
    /// assert_eq!(cell.set("first"), Ok(()));
    /// assert_eq!(cell.set("second"), Err("second"));
    /// assert_eq!(cell.get(), Some(&"first"));
    /// ```
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.get().is_some() {
            return Err(value);
        }
        match self.make() {
            Ok(_making) => self.value.set(value),
            Err(Unwinding) => Err(value),
        }
    }

    /// Waits until no other caller makes the value. The permit that it returns goes to the next
    /// waiter when it is dropped: when the value is made, or the caller unwinds.
    fn make(&self) -> Result<HeldPermits<'_>, Unwinding> {
        // This deadlock is certain, unlike that of a lock: the permit is in this fiber's frames,
        // and cannot have moved to another fiber.
        if let Some(fiber) = try_current().filter(|_| self.raw.is_held_by_caller())
            && !thread::panicking()
        {
            panic!("straightline: deadlock: the initialiser wants its own value: {fiber:?}");
        }
        // This semaphore is never closed, so there is one reason.
        let acquired = self.raw.acquire(1, &"OnceCell::get_or_init").map_err(|_| Unwinding);
        acquired.map(|()| HeldPermits::new(&self.raw, 1))
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}
