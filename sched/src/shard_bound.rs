//! Values of one shard in types that have to be `Send` and `Sync`.
//!
//! A fiber never leaves its thread, so its values need neither. But many libraries ask for both,
//! because they were written for runtimes that move tasks. [`ShardBound`] fulfils the bound, and
//! checks at run time what the bound stands for: that no other thread touches the value.
//!
//! **Soundness.** Three things could touch the value of type `T`, and each happens on the thread
//! that made it:
//!
//! - *A reference to it.* Each way to one passes [`Home::is_here`]: the calling thread has a shard,
//!   and its number is that of the shard that made the value. Numbers come from one counter of the
//!   process and are never used again, so it is the same shard. A shard is not `Send`: it stays on
//!   the thread that made it. So it is the same thread. A reference can leave the thread only if
//!   `&T` is `Send`, for which `T` is `Sync` by itself.
//! - *Its destructor.* It runs only behind the same check. Elsewhere the value is sent home or
//!   leaked.
//! - *Taking it out.* The same check; the value is then an ordinary `T` on its thread.
//!
//! The shards of a simulation share a thread. There the check is stricter than it has to be. When
//! a shard has ended, no thread passes the check any more, not even its own: the value can be
//! neither used nor dropped. That is a leak, and leaks are sound.
//!
//! To move a `ShardBound` moves the bytes of a `T` without looking at them. That is no access: a
//! value that must not be moved is behind a pointer or pinned, and this type pins nothing in
//! itself.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::core::{Home, try_shard_id};
use crate::queued_writer::stderr;

/// A value that only its own shard can use, but that is `Send` and `Sync` whatever it is.
///
/// For libraries that ask for `Send` where a value never leaves its shard: the transport of a
/// client that a `Box<dyn Transport + Send + Sync>` holds, a future that a trait wants to be
/// `Send`. Any use on another shard, or on a thread without one, panics or is an error:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, ShardBound};
///
/// trait Transport: Send + Sync {
///     fn send(&self);
/// }
///
/// struct Counted(ShardBound<Rc<Cell<u32>>>); // `Rc` and `Cell` are neither
///
/// impl Transport for Counted {
///     fn send(&self) {
///         self.0.set(self.0.get() + 1);
///     }
/// }
///
/// sched::run(|| {
///     let sent = Rc::new(Cell::new(0));
///     let transport: Box<dyn Transport> = Box::new(Counted(ShardBound::new(Rc::clone(&sent))));
///     transport.send();
///     assert_eq!(sent.get(), 1);
///
///     let bound = ShardBound::new(sent);
///     let elsewhere = std::thread::spawn(move || bound.try_get().map(|sent| sent.get()));
///     assert!(elsewhere.join().unwrap().is_err());
/// });
/// ```
///
/// # What it implements
///
/// `Deref` and `DerefMut`, which panic elsewhere. [`Read`] and [`Write`] where the value does;
/// these return an error elsewhere. [`Future`] where the value is a pinned one
/// (`ShardBound::new(Box::pin(async { .. }))`), whose poll panics elsewhere. `Clone` where the
/// value does.
///
/// # Dropping it elsewhere
///
/// A library may drop the value on a thread of its own. Then the value goes home: its shard drops
/// it, on a fiber, in its next turn. If the shard has ended, nothing could ever drop the value on
/// its thread again. It is leaked, and a line on standard error says so.
pub struct ShardBound<T: 'static> {
    /// `None` only while it is dropped.
    value: Option<T>,
    home: Home,
    /// On its way home to be dropped.
    is_returning: bool,
}

// SAFETY: a `T` is neither referred to nor dropped on another thread than the one that made it: the
// module's story goes through all that could. `Home` and the flag are `Send`.
unsafe impl<T: 'static> Send for ShardBound<T> {}

// SAFETY: a shared reference gives a `&T` only on the thread that made the value, see the module's
// story. `Home` and the flag are `Sync`.
unsafe impl<T: 'static> Sync for ShardBound<T> {}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Home>();
};

/// A [`ShardBound`] was used on another shard than its own, or on a thread without a shard.
///
/// ```
/// use straightline_sched::{self as sched, ShardBound};
///
/// let bound = sched::run(|| ShardBound::new(5)); // the shard has ended
/// let error = bound.try_get().unwrap_err();
/// assert!(error.to_string().ends_with("is used on a thread without a shard"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongShard {
    of: u64,
    on: Option<u64>,
}

impl<T: 'static> ShardBound<T> {
    /// Binds a value to the shard of the calling fiber.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn new(value: T) -> Self {
        match Home::here() {
            Some(home) => Self { value: Some(value), home, is_returning: false },
            None => panic!("straightline: `ShardBound::new` on a thread without a shard"),
        }
    }

    /// Whether the calling fiber is on the value's shard.
    ///
    /// Not a yield point.
    #[inline]
    pub fn is_here(&self) -> bool {
        self.home.is_here()
    }

    /// The value.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WrongShard`] elsewhere.
    #[inline]
    pub fn try_get(&self) -> Result<&T, WrongShard> {
        match &self.value {
            Some(value) if self.home.is_here() => Ok(value),
            _ => Err(WrongShard::of(&self.home)),
        }
    }

    /// The value, to change it.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WrongShard`] elsewhere.
    #[inline]
    pub fn try_get_mut(&mut self) -> Result<&mut T, WrongShard> {
        match &mut self.value {
            Some(value) if self.home.is_here() => Ok(value),
            _ => Err(WrongShard::of(&self.home)),
        }
    }

    /// Gives the value back.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// Itself elsewhere.
    ///
    /// ```
    /// use straightline_sched::{self as sched, ShardBound};
    ///
    /// sched::run(|| {
    ///     let bound = ShardBound::new(5);
    ///     assert_eq!(bound.try_into_inner().unwrap(), 5);
    /// });
    /// ```
    pub fn try_into_inner(mut self) -> Result<T, Self> {
        if !self.home.is_here() {
            return Err(self);
        }
        self.value.take().ok_or(self)
    }

    /// Drops the value where it belongs.
    #[cold]
    fn send_home(&mut self) {
        let Some(value) = self.value.take() else { return };
        if self.is_returning {
            // The shard did not take it.
            mem::forget(value);
            return tell_leak(type_name::<T>(), self.home.shard_id());
        }
        let returning = Self { value: Some(value), home: self.home.clone(), is_returning: true };
        // If the shard has ended, the closure is dropped here, and leaks the value.
        let _ = self.home.send(Box::new(move || drop(returning)));
    }
}

impl<T: 'static> Drop for ShardBound<T> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() && !self.home.is_here() {
            self.send_home();
        }
    }
}

impl<T: 'static> Deref for ShardBound<T> {
    type Target = T;

    /// # Panics
    ///
    /// On another shard, and on a thread without a shard.
    #[track_caller]
    fn deref(&self) -> &T {
        match self.try_get() {
            Ok(value) => value,
            Err(error) => panic!("straightline: {error}"),
        }
    }
}

impl<T: 'static> DerefMut for ShardBound<T> {
    /// # Panics
    ///
    /// On another shard, and on a thread without a shard.
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        match self.try_get_mut() {
            Ok(value) => value,
            Err(error) => panic!("straightline: {error}"),
        }
    }
}

impl<T: Clone + 'static> Clone for ShardBound<T> {
    /// # Panics
    ///
    /// On another shard, and on a thread without a shard.
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: Read + 'static> Read for ShardBound<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_get_mut()?.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.try_get_mut()?.read_vectored(buffers)
    }
}

impl<T: Write + 'static> Write for ShardBound<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_get_mut()?.write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_get_mut()?.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.try_get_mut()?.flush()
    }
}

impl<F: Future + Unpin + 'static> Future for ShardBound<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// On another shard, and on a thread without a shard.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut **self).poll(cx)
    }
}

/// The value is not pinned in the wrapper.
impl<T: 'static> Unpin for ShardBound<T> {}

impl<T: fmt::Debug + 'static> fmt::Debug for ShardBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_get() {
            Ok(value) => f.debug_tuple("ShardBound").field(value).finish(),
            Err(_) => f.debug_tuple("ShardBound").field(&"..").finish(),
        }
    }
}

impl WrongShard {
    #[cold]
    fn of(home: &Home) -> Self {
        Self { of: home.shard_id(), on: try_shard_id() }
    }
}

impl fmt::Display for WrongShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value that belongs to shard {} is used on ", self.of)?;
        match self.on {
            Some(shard) => write!(f, "shard {shard}"),
            None => f.write_str("a thread without a shard"),
        }
    }
}

impl std::error::Error for WrongShard {}

impl From<WrongShard> for io::Error {
    fn from(error: WrongShard) -> Self {
        Self::other(error)
    }
}

/// Tells of the first leak, and of each time that their number has doubled.
fn tell_leak(of: &str, shard: u64) {
    static LEAKS: AtomicU64 = AtomicU64::new(0);
    let leaks = LEAKS.fetch_add(1, Ordering::Relaxed) + 1;
    if leaks.is_power_of_two() {
        // A line that is lost is counted by the writer.
        let _ = writeln!(
            stderr(),
            "straightline: a `ShardBound<{of}>` of shard {shard} was dropped elsewhere after its \
             shard had ended, and is leaked ({leaks} such values until now)"
        );
    }
}
