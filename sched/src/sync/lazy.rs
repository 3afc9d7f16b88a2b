//! A value that is made when it is first used, for statics.
//!
//! std's `LazyLock` blocks the thread of a fiber that wants the value while another fiber makes it,
//! and if both are fibers of one thread, it blocks for ever. This is a [`OnceCell`] with its
//! initialiser.

use std::fmt;
use std::ops::Deref;

use super::OnceCell;
use crate::core::Unwinding;

/// A value that is made once, at its first use, by an initialiser that may wait; as
/// [`std::sync::LazyLock`]. A fiber or thread that wants the value meanwhile waits for it.
///
/// If the initialiser unwinds (a panic, a cancel, a deadline), the next waiter calls it again: it
/// is called until it has returned once.
///
/// A value that the fibers of one thread are to share is a [`shard_local!`](crate::shard_local!).
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sync::Lazy};
///
/// static CONFIG: Lazy<String> = Lazy::new(|| {
///     sched::sleep(Duration::from_millis(1)); // as if it were fetched from somewhere
///     "verbose".to_owned()
/// });
///
/// sched::run(|| {
///     sched::scope(|s| {
///         for _ in 0..3 {
///             s.spawn(|| assert_eq!(*CONFIG, "verbose"));
///         }
///     });
/// });
/// ```
pub struct Lazy<T, F = fn() -> T> {
    cell: OnceCell<T>,
    init: F,
}

impl<T, F: Fn() -> T> Lazy<T, F> {
    /// A value that `init` will make.
    pub const fn new(init: F) -> Self {
        Self { cell: OnceCell::new(), init }
    }

    /// The value, made first if this is its first use. Using it as a reference (`*lazy`) is the
    /// same, but panics where this is an error.
    ///
    /// # Blocking
    ///
    /// A yield point if another caller is making the value, and where the initialiser, which runs
    /// on the caller's fiber, is one. Not a yield point if the value exists.
    ///
    /// # Cancellation
    ///
    /// If the initialiser unwinds, there is no value, and the next waiter makes one.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if another caller is making the value and this caller unwinds. A destructor
    /// that may be the first user of the value calls this instead of `*lazy`.
    ///
    /// # Panics
    ///
    /// When the initialiser asks for the value itself.
    ///
    /// ```
    /// use straightline_sched::sync::Lazy;
    ///
    /// static ANSWER: Lazy<u32> = Lazy::new(|| 42);
    /// assert_eq!(ANSWER.get(), Ok(&42));
    /// ```
    pub fn get(&self) -> Result<&T, Unwinding> {
        self.cell.get_or_init(&self.init)
    }
}

impl<T, F: Fn() -> T> Deref for Lazy<T, F> {
    type Target = T;

    /// As [`get`](Lazy::get).
    ///
    /// # Panics
    ///
    /// Where that is an error, or panics.
    fn deref(&self) -> &T {
        match self.get() {
            Ok(value) => value,
            Err(Unwinding) => panic!(
                "straightline: a `Lazy` is used while the fiber unwinds and another makes the value"
            ),
        }
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.cell.get()).finish()
    }
}
