//! The readiness of a socket, for `select`.

use std::fmt;
use std::time::Instant;

use super::select::Selectable;
use super::watch::{Watch, Watcher};
use crate::core::{AnySource, Source};
use crate::driver::{self, Interest};

/// That a socket can be read or written, as a thing to [`select`](super::select()) on: what
/// `readable()` and `writable()` of a socket return.
///
/// It is ready while an operation in that direction would not block: there is data or room, or an
/// end or an error to be found. That is the state of the socket, and not a change of it. So it does
/// not matter what was read before, and `select` looks again each time. As with every thing in a
/// `select`, another fiber may be quicker: call an operation that does not wait (`try_read`) if
/// several fibers read from the socket.
///
/// A socket that cannot be waited for, such as one outside of a fiber, counts as ready: the
/// operation that follows returns the error.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use straightline_sched::{self as sched, Source, sync::{Flag, Ready, select}};
///
/// sched::run(|| {
///     let (mut near, far) = UnixStream::pair()?;
///     let (source, stop) = (Source::new(far), Flag::new());
///     near.write_all(b"!")?;
///     assert_eq!(select(&[&stop, &Ready::to_read(&source)]), Ok(1));
///     assert_eq!(select(&[&stop, &Ready::to_read(&source)]), Ok(1)); // it still is
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Ready<'s> {
    kind: Kind<'s>,
}

#[derive(Clone)]
enum Kind<'s> {
    Now,
    Source(&'s dyn AnySource, Interest),
    With(&'s dyn Selectable),
    Either(Box<[Ready<'s>; 2]>),
}

impl<'s> Ready<'s> {
    /// Ready while reading from `source` would not block. Not a yield point.
    pub fn to_read<T: driver::Watch>(source: &'s Source<T>) -> Self {
        Self { kind: Kind::Source(source, Interest::Read) }
    }

    /// Ready while writing to `source` would not block. Not a yield point.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use straightline_sched::{self as sched, Source, sync::{Flag, Ready, select}};
    ///
    /// sched::run(|| {
    ///     let (near, _far) = UnixStream::pair()?;
    ///     let (source, stop) = (Source::new(near), Flag::new());
    ///     assert_eq!(select(&[&stop, &Ready::to_write(&source)]), Ok(1)); // there is room
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_write<T: driver::Watch>(source: &'s Source<T>) -> Self {
        Self { kind: Kind::Source(source, Interest::Write) }
    }

    /// Ready at once: for a stream of your own that has bytes in a buffer. Not a yield point.
    pub fn now() -> Self {
        Self { kind: Kind::Now }
    }

    /// Ready when `thing` is: for a stream of your own that a channel or a flag feeds. Not a yield
    /// point.
    ///
    /// ```
    /// use straightline_sched::sync::{Flag, Ready, select};
    ///
    /// /// A buffer that another fiber fills.
    /// struct Pipe {
    ///     buffer: Vec<u8>,
    ///     is_filled: Flag,
    /// }
    ///
    /// impl Pipe {
    ///     fn readable(&self) -> Ready<'_> {
    ///         if self.buffer.is_empty() { Ready::with(&self.is_filled) } else { Ready::now() }
    ///     }
    /// }
    ///
    /// let pipe = Pipe { buffer: vec![1], is_filled: Flag::new() };
    /// assert_eq!(select(&[&pipe.is_filled, &pipe.readable()]), Ok(1));
    /// ```
    pub fn with(thing: &'s dyn Selectable) -> Self {
        Self { kind: Kind::With(thing) }
    }

    /// Ready when this or `other` is: for a stream of your own that has to write before it can
    /// read. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::{Flag, Ready, select};
    ///
    /// let (first, second) = (Flag::new(), Flag::new());
    /// second.set();
    /// assert_eq!(select(&[&Ready::with(&first).or(Ready::with(&second))]), Ok(0));
    /// ```
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { kind: Kind::Either(Box::new([self, other])) }
    }
}

impl Selectable for Ready<'_> {}

impl Watch for Ready<'_> {
    fn watch(&self, watcher: &Watcher) -> bool {
        match &self.kind {
            Kind::Now => true,
            // If it cannot be registered, the caller's next operation gets the error.
            Kind::Source(source, interest) => source.is_ready_or_arm(*interest).unwrap_or(true),
            Kind::With(thing) => thing.watch(watcher),
            Kind::Either(both) => {
                let [first, second] = &**both;
                if first.watch(watcher) {
                    return true;
                }
                let is_ready = second.watch(watcher);
                if is_ready {
                    first.unwatch(watcher);
                }
                is_ready
            }
        }
    }

    fn unwatch(&self, watcher: &Watcher) {
        match &self.kind {
            Kind::Now => {}
            Kind::Source(source, interest) => source.disarm(*interest),
            Kind::With(thing) => thing.unwatch(watcher),
            Kind::Either(both) => both.iter().for_each(|one| one.unwatch(watcher)),
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Now | Kind::Source(..) => None,
            Kind::With(thing) => thing.due(),
            Kind::Either(both) => both.iter().filter_map(Watch::due).min(),
        }
    }
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = match self.kind {
            Kind::Now => "now",
            Kind::Source(_, Interest::Read) => "to read",
            Kind::Source(_, Interest::Write) => "to write",
            Kind::With(_) => "with another thing",
            Kind::Either(_) => "one of two",
        };
        f.debug_tuple("Ready").field(&to).finish()
    }
}
