//! Waiting for a descriptor.
//!
//! A [`Source`] owns its descriptor, and is registered with the driver at its first wait, for the
//! directions that were ever waited for. Each event is kept as a flag, and wakes the waiters. The
//! flag is cleared when a fiber that saw it is about to look (its wait returned), or has looked (it
//! called [`Source::clear`]). A waiter that is cancelled has not looked, so the flag stays for the
//! next one.
//!
//! A fiber waits, or is armed and waits for several sources at once; a future's task leaves its
//! `Waker`. Wakers are the user's code, so no waker is called or dropped while the table of sources
//! is borrowed.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use slotmap::{Key, SlotMap};

use super::elsewhere;
use super::local;
use super::mailbox::Message;
use super::park::park_at_most;
use super::shard::Shard;
use super::source_state::{Arming, Side, SourceKey, SourceState, Task};
use super::sources::forget_source;
use crate::driver::{Interest, Interests, Watch, Watched};
use crate::fiber::{FiberCell, Wait};

/// A descriptor whose readiness fibers can wait for.
///
/// The descriptor should be non-blocking: try an operation first, and wait only when it would have
/// blocked. A source belongs to the shard that first waits on it, and to the thread's next shard
/// when that one has ended. In a [simulation](crate::sim), whose shards share a thread, a wait on
/// another shard is an error.
///
/// ```
/// use std::io::{ErrorKind, Read, Write};
/// use std::os::unix::net::UnixStream;
/// use straightline_sched::{self as sched, Interest, Source};
///
/// sched::run(|| {
///     let (mut near, far) = UnixStream::pair()?;
///     far.set_nonblocking(true)?;
///     let reader = sched::spawn(move || {
///         let source = Source::new(far);
///         let mut byte = [0];
///         loop {
///             match source.inner().read(&mut byte) {
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => {
///                     source.wait(Interest::Read)?;
///                 }
///                 result => return result.map(|_| byte[0]),
///             }
///         }
///     });
///     sched::yield_now(); // the reader waits
///     near.write_all(b"!")?;
///     assert_eq!(reader.join().unwrap()?, b'!');
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Source<T: Watch> {
    inner: Option<T>,
    registration: Cell<Option<Registration>>,
    /// Neither `Send` nor `Sync`: it is registered with one thread's driver.
    of_one_thread: PhantomData<*const ()>,
}

#[derive(Clone, Copy)]
struct Registration {
    shard_id: u64,
    key: SourceKey,
}

impl<T: Watch> Source<T> {
    /// Wraps a descriptor; nothing is registered yet. Not a yield point.
    pub fn new(inner: T) -> Self {
        Self { inner: Some(inner), registration: Cell::new(None), of_one_thread: PhantomData }
    }

    /// The value that the source waits for.
    ///
    /// # Panics
    ///
    /// Never: only [`into_inner`](Self::into_inner), which consumes the source, removes it.
    pub fn inner(&self) -> &T {
        self.inner.as_ref().expect("present until into_inner")
    }

    /// Gives the descriptor back; the driver forgets it. Not a yield point.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn into_inner(mut self) -> T {
        self.deregister();
        self.inner.take().expect("present until into_inner")
    }

    /// Waits until that direction has changed since the last wait, or until the fiber is woken for
    /// another reason: look again after it.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the change has come already. Try the operation before. If the
    /// descriptor is ready without a change, a wait does not end with one
    /// [driver](crate::DriverKind), and ends at once with the other. If nothing more will come to
    /// be read ([`is_read_closed`](Self::is_read_closed)), a wait to read ends at once, so that
    /// each reader finds the end. Some loops never find it: for a datagram socket that was shut
    /// down, Linux answers "would block" for ever. Such a loop pauses from its 64th such wait on.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. The change is kept for the next wait. If
    /// the change comes in the same turn as the deadline, the wait returns, and the next one
    /// unwinds.
    ///
    /// # Errors
    ///
    /// When the driver cannot register the descriptor, the calling fiber is unwinding, or the
    /// caller is not a fiber.
    pub fn wait(&self, interest: Interest) -> io::Result<()> {
        self.wait_until(interest, None).map(drop)
    }

    /// As [`wait`](Self::wait), but not beyond `at`. Returns false if that time has passed and
    /// nothing has changed.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the change has come already.
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use std::time::{Duration, Instant};
    /// use straightline_sched::{self as sched, Interest, Source};
    ///
    /// sched::run(|| {
    ///     let (near, _far) = UnixStream::pair()?;
    ///     let source = Source::new(near);
    ///     let at = Instant::now() + Duration::from_millis(5);
    ///     while source.wait_until(Interest::Read, Some(at))? {}
    ///     assert!(Instant::now() >= at);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait_until(&self, interest: Interest, at: Option<Instant>) -> io::Result<bool> {
        // Called before the shard is borrowed, here and elsewhere: it is the user's code.
        let watched = self.inner().watched();
        let wait = wait_for(&watched, interest);
        on_fiber(|shard, fiber| {
            let add = |side: &mut Side| side.add(fiber);
            let until = match self.arm_with(shard, &watched, interest, add)? {
                Arming::Changed => return Ok(true),
                Arming::Armed => at,
                Arming::Stale => {
                    let pause = shard.now() + STALE_PAUSE;
                    Some(at.map_or(pause, |at| at.min(pause)))
                }
            };
            // Also when the park ends by unwinding: a fiber that does not wait must not be woken.
            let waiting = Waiting { source: self, shard, interest };
            park_at_most(shard, wait, until, || self.has_come(shard, interest))?;
            let in_time = at.is_none_or(|at| shard.now() < at) || self.has_come(shard, interest);
            drop(waiting);
            self.with_known(|state| state.record_look(interest));
            Ok(in_time)
        })
    }

    /// Clears the flag of that direction, because an operation has just looked: it would have
    /// blocked, or came back short.
    ///
    /// Returns whether a short read proves that the socket is empty: not when the peer sent urgent
    /// data, in front of which reads stop.
    ///
    /// Not a yield point. Outside of a fiber it does nothing.
    #[inline]
    pub fn clear(&self, interest: Interest) -> bool {
        self.with_known(|state| state.clear(interest)).unwrap_or(true)
    }

    /// As [`clear`](Self::clear), after an operation that would have blocked. Returns whether it
    /// will block for ever, because nothing more comes to be read: then this is the end, whatever
    /// the operation returned. For datagrams and listeners; a stream's own read returns its end.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use std::net::Shutdown;
    /// use std::os::unix::net::UnixDatagram;
    /// use straightline_sched::{self as sched, Interest, Source};
    ///
    /// sched::run(|| {
    ///     let socket = UnixDatagram::unbound()?;
    ///     socket.set_nonblocking(true)?;
    ///     socket.shutdown(Shutdown::Both)?; // Linux then says `WouldBlock`, others say 0
    ///     let source = Source::new(socket);
    ///     let count = loop {
    ///         match source.inner().recv(&mut [0; 8]) {
    ///             Err(error) if error.kind() == ErrorKind::WouldBlock => {
    ///                 if source.clear_blocked(Interest::Read) {
    ///                     break 0;
    ///                 }
    ///                 source.wait(Interest::Read)?;
    ///             }
    ///             result => break result?,
    ///         }
    ///     };
    ///     assert_eq!(count, 0);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn clear_blocked(&self, interest: Interest) -> bool {
        let watched = self.inner().watched();
        let is_over = self.with_known_on_shard(|shard, state| {
            state.clear(interest);
            if interest == Interest::Write || state.is_read_closed() {
                return interest == Interest::Read;
            }
            // Data may have come together with the end, and after the operation. So the flag is
            // left for the next operation, which the next wait lets begin at once.
            if shard.driver.is_read_shut(&watched) {
                state.record_read_shut();
            }
            false
        });
        is_over.unwrap_or(false)
    }

    /// Arranges that the next change in that direction wakes the calling fiber, without waiting for
    /// it.
    ///
    /// Returns false when the change has come already, so that no wait is needed. An activation
    /// calls this half of [`wait`](Self::wait) before it rests.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// When the driver cannot register the descriptor, or the caller is not a fiber.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::ops::ControlFlow;
    /// use std::os::unix::net::UnixStream;
    /// use straightline_sched::{self as sched, Interest, Source};
    ///
    /// sched::run(|| {
    ///     let (mut near, far) = UnixStream::pair()?;
    ///     let source = Source::new(far);
    ///     let mut waited = false;
    ///     let fiber = sched::spawn_stackless(move || {
    ///         if waited || !source.arm(Interest::Read).unwrap_or(false) {
    ///             return ControlFlow::Break(()); // there is something to read
    ///         }
    ///         waited = true;
    ///         ControlFlow::Continue(())
    ///     });
    ///     near.write_all(b"!")?;
    ///     fiber.join().unwrap();
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn arm(&self, interest: Interest) -> io::Result<bool> {
        let watched = self.inner().watched();
        on_fiber(|shard, fiber| {
            let add = |side: &mut Side| side.add(fiber);
            let arming = self.arm_with(shard, &watched, interest, add)?;
            if arming == Arming::Stale {
                shard.wake(shard.current()); // it looks once more in its next turn
            }
            Ok(arming != Arming::Changed)
        })
    }

    /// Whether an operation in that direction would not block now, whatever events said: the system
    /// is asked. Not a yield point.
    #[doc(hidden)]
    pub fn is_ready(&self, interest: Interest) -> bool {
        self.inner().watched().is_ready(interest)
    }

    /// Whether that direction is ready now, which is more than a change: the system is asked,
    /// unless an operation would have blocked and nothing has changed since. If it is not ready,
    /// the next change wakes the calling fiber, as after an [`arm`](Self::arm).
    ///
    /// A change that was found stays noted, so that the next wait returns at once.
    ///
    /// # Errors
    ///
    /// As [`arm`](Self::arm).
    fn is_ready_or_arm(&self, interest: Interest) -> io::Result<bool> {
        let watched = self.inner().watched();
        on_fiber(|shard, fiber| {
            let is_blocked = self.with_known(|state| state.is_blocked(interest));
            if is_blocked.is_none() {
                // Also if it is ready: `clear_blocked` knows only of registered sources.
                self.register(shard, &mut shard.sources.borrow_mut(), &watched, interest)?;
            }
            if is_blocked != Some(true) && watched.is_ready(interest) {
                self.with_known(|state| state.record_change(interest));
                return Ok(true);
            }
            self.clear(interest);
            let add = |side: &mut Side| side.add(fiber);
            let arming = self.arm_with(shard, &watched, interest, add)?;
            if arming == Arming::Stale {
                shard.wake(shard.current()); // it looks once more in its next turn
            }
            Ok(arming == Arming::Changed)
        })
    }

    /// Undoes an [`arm`](Self::arm) that returned true. A change that came in between counts as not
    /// looked at, even if another fiber has looked.
    fn disarm(&self, interest: Interest) {
        let _ = on_fiber(|_, fiber| {
            self.with_known(|state| state.side(interest).give_back(&fiber));
            Ok(())
        });
    }

    /// The wait of a future: the next change in that direction wakes the task.
    ///
    /// `Ready` when the change has come already: try the operation again. As with every poll, only
    /// the task that asked last for a direction is woken; fibers that wait for it are woken too.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// When the driver cannot register the descriptor, or on a thread that runs no shard.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::io::{ErrorKind, Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use std::task::{Poll, ready};
    /// use straightline_sched::{self as sched, Interest, Source};
    ///
    /// sched::run(|| {
    ///     let (mut near, far) = UnixStream::pair()?;
    ///     far.set_nonblocking(true)?;
    ///     let source = Source::new(far);
    ///     sched::spawn(move || near.write_all(b"!"));
    ///     let mut byte = [0];
    ///     let read = poll_fn(|cx| loop {
    ///         match source.inner().read(&mut byte) {
    ///             Err(error) if error.kind() == ErrorKind::WouldBlock => {
    ///                 source.clear(Interest::Read); // this is how things are now
    ///                 ready!(source.poll_ready(Interest::Read, cx))?;
    ///             }
    ///             result => return Poll::Ready(result),
    ///         }
    ///     });
    ///     assert_eq!(sched::block_on(read).unwrap()?, 1);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Cloned before the table is borrowed, and dropped after it.
        let mut task = Some(Task::new(cx.waker().clone()));
        let watched = self.inner().watched();
        let armed = local::try_with(|shard| {
            let add = |side: &mut Side| side.add_task(&mut task);
            self.arm_with(shard, &watched, interest, add)
        });
        match armed.unwrap_or_else(|| Err(no_fiber())) {
            Ok(Arming::Armed) => Poll::Pending,
            Ok(Arming::Stale) => {
                cx.waker().wake_by_ref(); // it looks once more in its next turn
                Poll::Pending
            }
            Ok(Arming::Changed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Unless there is a change to look at, arranges that the driver reports the next one, and
    /// calls `add`, which puts the waiter into the list of its direction.
    fn arm_with(
        &self,
        shard: &Shard,
        watched: &Watched<'_>,
        interest: Interest,
        add: impl FnOnce(&mut Side),
    ) -> io::Result<Arming> {
        let known = self.registration.get().filter(|known| known.shard_id == shard.id);
        let mut sources = shard.sources.borrow_mut();
        let (state, arming) = match known {
            Some(Registration { key, .. }) => {
                let state = &mut sources[key];
                let arming = state.look(interest);
                if arming == Arming::Changed {
                    return Ok(arming);
                }
                // The end of a stale source was reported: a oneshot driver would report it again at
                // once.
                if arming == Arming::Armed && !state.armed().has(interest) {
                    let wanted = state.armed().with(interest);
                    shard.driver.modify(watched, key.data().as_ffi(), wanted)?;
                    state.set_armed(wanted);
                }
                (state, arming)
            }
            None => (self.register(shard, &mut sources, watched, interest)?, Arming::Armed),
        };
        add(state.side(interest));
        Ok(arming)
    }

    /// Whether an event at some wait on the calling shard said that nothing more will come behind
    /// the data that has arrived: the peer has closed, or the connection is broken.
    ///
    /// Not a yield point. False outside of a fiber.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use straightline_sched::{self as sched, Interest, Source};
    ///
    /// sched::run(|| {
    ///     let (near, far) = UnixStream::pair()?;
    ///     let source = Source::new(near);
    ///     drop(far);
    ///     source.wait(Interest::Read)?;
    ///     assert!(source.is_read_closed());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_read_closed(&self) -> bool {
        self.with_known(|state| state.is_read_closed()).unwrap_or(false)
    }

    /// Whether an event has come for the calling fiber, which waits. Another fiber that was woken
    /// by the same event may have looked already.
    fn has_come(&self, shard: &Shard, interest: Interest) -> bool {
        let Some(fiber) = shard.try_current() else { return false };
        let has_come = self.with_known(|state| {
            state.has_changed(interest) || !state.side(interest).has_waiter(&fiber)
        });
        has_come.unwrap_or(false)
    }

    /// Calls `act` with the state of the source, if the calling thread's shard has it: on another
    /// shard the key may belong to another source.
    #[inline]
    fn with_known<R>(&self, act: impl FnOnce(&mut SourceState) -> R) -> Option<R> {
        self.with_known_on_shard(|_, state| act(state))
    }

    #[inline]
    fn with_known_on_shard<R>(&self, act: impl FnOnce(&Shard, &mut SourceState) -> R) -> Option<R> {
        let known = self.registration.get()?;
        local::try_with(|shard| {
            let mut sources = shard.sources.borrow_mut();
            let state = sources.get_mut(known.key).filter(|_| known.shard_id == shard.id)?;
            Some(act(shard, state))
        })?
    }

    /// The first wait on this shard.
    fn register<'t>(
        &self,
        shard: &Shard,
        sources: &'t mut SlotMap<SourceKey, SourceState>,
        watched: &Watched<'_>,
        interest: Interest,
    ) -> io::Result<&'t mut SourceState> {
        if self.registration.get().is_some_and(|known| elsewhere::is_there(known.shard_id)) {
            return Err(io::Error::other("straightline: the source is another shard's"));
        }
        let mut armed = Interests::NONE.with(interest);
        if interest == Interest::Write && !shard.driver.is_oneshot() {
            // A stream that connects or writes will read: this saves the second registration.
            armed = Interests::BOTH;
        }
        let key = sources.insert(SourceState::new(watched.number(), armed));
        if let Err(error) = shard.driver.add(watched, key.data().as_ffi(), armed) {
            sources.remove(key);
            return Err(error);
        }
        shard.counters.sources.set(sources.len() as u64);
        self.registration.set(Some(Registration { shard_id: shard.id, key }));
        Ok(&mut sources[key])
    }

    fn deregister(&self) {
        let Some(Registration { shard_id, key }) = self.registration.take() else {
            return;
        };
        let watched = self.inner().watched();
        let forget = |shard: &Shard| {
            forget_source(shard, key);
            // This fails only if other code has closed the descriptor, and then the driver has
            // forgotten it already.
            let _ = shard.driver.remove(&watched);
        };
        elsewhere::at(shard_id, forget, || Message::Forget(key));
    }
}

impl<T: Watch> Drop for Source<T> {
    /// Before the descriptor is closed, so that its number cannot belong to another source yet.
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.deregister();
        }
    }
}

impl<T: Watch + fmt::Debug> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.inner).finish()
    }
}

/// A source of any kind, for `select`.
pub(crate) trait AnySource {
    fn is_ready_or_arm(&self, interest: Interest) -> io::Result<bool>;

    /// Undoes an `is_ready_or_arm` that returned false.
    fn disarm(&self, interest: Interest);
}

impl<T: Watch> AnySource for Source<T> {
    fn is_ready_or_arm(&self, interest: Interest) -> io::Result<bool> {
        self.is_ready_or_arm(interest)
    }

    fn disarm(&self, interest: Interest) {
        self.disarm(interest);
    }
}

/// The calling fiber in the list of waiters, while it waits.
struct Waiting<'s, T: Watch> {
    source: &'s Source<T>,
    shard: &'s Shard,
    interest: Interest,
}

impl<T: Watch> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let fiber = self.shard.current();
        self.source.with_known(|state| state.side(self.interest).remove(&fiber));
    }
}

fn wait_for(watched: &Watched<'_>, interest: Interest) -> Wait {
    match interest {
        Interest::Read => Wait::Readable(watched.number()),
        Interest::Write => Wait::Writable(watched.number()),
    }
}

/// Calls `act` on the calling fiber. Outside of fibers nothing can wait, which is an error and no
/// panic: a buffer in front of a stream may be dropped anywhere, and flushes then.
pub(super) fn on_fiber<R>(
    act: impl FnOnce(&Shard, Rc<FiberCell>) -> io::Result<R>,
) -> io::Result<R> {
    local::try_with(|shard| shard.try_current().map(|fiber| act(shard, fiber)))
        .flatten()
        .unwrap_or_else(|| Err(no_fiber()))
}

#[cold]
fn no_fiber() -> io::Error {
    io::Error::other(
        "straightline: a wait outside of a fiber; make it inside of `sched::run` or of a request \
         handler",
    )
}

/// How long a fiber that cannot find the reported end pauses before it looks again. Arbitrary: its
/// 64 looks take the thread for some microseconds of that.
const STALE_PAUSE: Duration = Duration::from_millis(10);
