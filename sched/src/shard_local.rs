//! Shard-locals: a value for each shard, which its fibers share. Its initialiser may wait.
//!
//! A lazy `thread_local!` is not enough for that: while one fiber waits in its initialiser, another
//! one runs it again, and the first value is dropped although references to it exist. Here the
//! value is made in a [`OnceCell`], so that other fibers wait; and it is handed out as an `Rc`, so
//! that it lives while it is used.
//!
//! The values belong to the shard and not to the thread: each shard of a simulation has its own,
//! and they are dropped when their shard ends, on a fiber.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use crate::core::{self, Shard, Unwinding};
use crate::sync::OnceCell;

/// Declares shard-locals: they are for fibers what [`std::thread_local!`] is for threads.
///
/// The value is made once, when a fiber of the shard first asks for it, and its expression may
/// wait: fibers that ask meanwhile wait for it. If the expression unwinds (a panic, a cancel, a
/// deadline), the next fiber tries again.
///
/// The values are dropped when the shard ends, the youngest first, after all other fibers have
/// ended. That happens on a fiber, in an [`uncancellable`](crate::uncancellable) section: their
/// destructors may wait, for as long as the end of a shard waits for such a section.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, shard_local};
///
/// struct Client(&'static str);
///
/// impl Client {
///     fn connect() -> Self {
///         sched::sleep(Duration::from_millis(1)); // others run meanwhile
///         Self("connected")
///     }
/// }
///
/// shard_local! {
///     /// One connection for all requests of the shard.
///     static CLIENT: Client = Client::connect();
/// }
///
/// sched::run(|| {
///     sched::scope(|s| {
///         for _ in 0..8 {
///             s.spawn(|| assert_eq!(CLIENT.get().unwrap().0, "connected"));
///         }
///     });
/// });
/// ```
#[macro_export]
macro_rules! shard_local {
    () => {};
    ($(#[$meta:meta])* $visibility:vis static $name:ident : $type:ty = $init:expr
        $(; $($rest:tt)*)?) => {
        $(#[$meta])*
        $visibility static $name: $crate::ShardLocal<$type> = $crate::ShardLocal::new(|| $init);
        $($crate::shard_local!($($rest)*);)?
    };
}

/// The key of a shard-local; declared by [`shard_local!`], whose example shows it.
pub struct ShardLocal<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> ShardLocal<T> {
    /// For [`shard_local!`]: the address of a key identifies it, so it must be a `static`.
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// The value of the calling fiber's shard, made first if this is its first use. It may outlive
    /// the shard.
    ///
    /// # Blocking
    ///
    /// A yield point if another fiber is making the value, and where the expression, which runs on
    /// the caller's fiber, is one. Not a yield point if the value exists.
    ///
    /// # Cancellation
    ///
    /// If the expression unwinds, there is no value, and the next waiter makes one.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if another fiber is making the value and the caller unwinds.
    ///
    /// # Panics
    ///
    /// Outside of a fiber, and when the value's expression asks for the value itself.
    pub fn get(&'static self) -> Result<Rc<T>, Unwinding> {
        let cell = core::with(|shard| self.cell_of(shard));
        match cell.downcast_ref::<OnceCell<Rc<T>>>() {
            Some(cell) => match cell.get() {
                Some(value) => Ok(Rc::clone(value)),
                None => self.make(cell),
            },
            None => unreachable!("a shard-local of another type at the same address"),
        }
    }

    /// Calls `body` with the value, as [`get`](Self::get) returns it. It may wait.
    ///
    /// # Blocking
    ///
    /// As [`get`](Self::get), and as `body`.
    ///
    /// # Cancellation
    ///
    /// As [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); then `body` was not called.
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get), and when `body` does.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use straightline_sched::{self as sched, shard_local};
    ///
    /// shard_local! {
    ///     static HITS: Cell<u32> = Cell::new(0);
    /// }
    ///
    /// sched::run(|| {
    ///     HITS.with(|hits| hits.set(hits.get() + 1))?;
    ///     assert_eq!(HITS.with(Cell::get)?, 1);
    ///     Ok::<(), sched::Unwinding>(())
    /// })
    /// # .unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn with<R>(&'static self, body: impl FnOnce(&T) -> R) -> Result<R, Unwinding> {
        self.get().map(|value| body(&value))
    }

    #[cold]
    fn make(&'static self, cell: &OnceCell<Rc<T>>) -> Result<Rc<T>, Unwinding> {
        let _fiber = core::with(Shard::current); // panics outside of a fiber
        let value = cell.get_or_init(|| {
            let value = Rc::new((self.init)());
            core::with(|shard| shard.values.record_made(self.key()));
            value
        });
        value.cloned()
    }

    /// The shard's cell, empty if this is the first use.
    fn cell_of(&'static self, shard: &Shard) -> Rc<dyn Any> {
        shard.values.cell(self.key(), || Rc::new(OnceCell::<Rc<T>>::new()))
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T> fmt::Debug for ShardLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardLocal").finish_non_exhaustive()
    }
}
