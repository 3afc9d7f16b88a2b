//! The end of a fiber, for the fibers that wait for it.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use parking_lot::Mutex;

use super::contain::discard;
use super::deadline::DeadlineExceeded;
use super::deadlock::endless_join;
use super::elsewhere;
use super::local;
use super::mailbox::Message;
use super::park::park_for;
use super::shard::Shard;
use super::wake::{Fiber, cancel};
use super::yield_point::Unwinding;
use crate::fiber::unwind::{self, Reason};
use crate::fiber::{EndWatcher, FiberCell, FiberKey, ScopeState, SpawnInfo, Tick, Wait};

/// The right to wait for a fiber and to take its result.
///
/// Dropping the handle detaches the fiber: it goes on, and its result is lost.
///
/// A handle stays on its thread. In a [simulation](crate::sim), whose shards share one thread,
/// another shard can get it. It works there too, and its operations take effect at the next turn of
/// the fiber's own shard. When that shard has ended, the fiber has.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let handle = sched::spawn(|| {
///         sched::park();
///         "unparked"
///     });
///     sched::yield_now();
///     assert!(!handle.is_finished());
///     handle.fiber().unpark();
///     assert_eq!(handle.join().unwrap(), "unparked");
/// });
/// ```
pub struct JoinHandle<T> {
    packet: Rc<Packet<T>>,
    fiber: Rc<FiberCell>,
    /// The fiber's.
    shard_id: u64,
}

/// Where a fiber leaves its result: a value, or the payload of its unwind.
pub(crate) struct Packet<T> {
    outcome: Cell<Left<T>>,
    /// The scope that gets a panic which no joiner took.
    scope_state: Option<Rc<ScopeState>>,
}

/// The result; two words if `T` is nothing.
enum Left<T> {
    Nothing,
    Value(T),
    /// Boxed twice, so that the common case is two words; panics are rare.
    Unwound(Box<Box<dyn Any + Send>>),
}

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Why [`JoinHandle::join`] returns no value.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let fiber = sched::spawn(|| std::panic::resume_unwind(Box::new("no such row")));
///     let error = fiber.join().unwrap_err();
///     assert_eq!(error.to_string(), "the fiber panicked: no such row");
///     assert!(!error.is_cancelled() && !error.is_deadline_exceeded());
///     let payload = error.into_panic().unwrap();
///     assert_eq!(payload.downcast_ref(), Some(&"no such row"));
/// });
/// ```
pub struct JoinError {
    kind: Kind,
}

enum Kind {
    /// The lock is never contended: it makes the error `Sync`, as boxed errors must be.
    Panic(Mutex<Box<dyn Any + Send>>),
    Cancelled,
    Expired,
    Abandoned,
    Unwinding,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(shard: &Shard, packet: Rc<Packet<T>>, fiber: Rc<FiberCell>) -> Self {
        Self { packet, fiber, shard_id: shard.id }
    }

    /// The handle of a fiber that was cancelled before it existed.
    pub(super) fn never_begun(spawned_at: &'static Location<'static>) -> Self {
        let spawn_info = SpawnInfo { spawned_at, spawned_in: Tick::NEVER };
        let fiber = FiberCell::new(FiberKey::default(), spawn_info, Tick::NEVER);
        fiber.life.end();
        let packet = Rc::new(Packet::new(None));
        Self { packet, fiber: Rc::new(fiber), shard_id: u64::MAX }
    }

    /// Waits for the fiber to end and returns what it returned.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the fiber has ended already.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline of the caller ends the wait by unwinding; the other fiber goes on.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if the fiber panicked, was cancelled, passed a deadline that it inherited or
    /// was abandoned, or if the caller is itself unwinding and therefore may not wait.
    ///
    /// # Panics
    ///
    /// If the wait could never end: the fiber joins the caller, directly or through other fibers,
    /// and none of them has a deadline or belongs to a scope, which could cancel it. In a fiber
    /// that unwinds the wait is an error, as always.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     assert_eq!(sched::spawn(|| 6 * 7).join().unwrap(), 42);
    ///     let error = sched::spawn(|| -> u32 { std::panic::resume_unwind(Box::new("no")) })
    ///         .join()
    ///         .unwrap_err();
    ///     assert!(error.is_panic());
    /// });
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        loop {
            if self.fiber.life.is_over() {
                return match self.packet.take() {
                    Some(outcome) => outcome.map_err(JoinError::from_payload),
                    None if self.fiber.life.is_abandoned() => {
                        Err(JoinError { kind: Kind::Abandoned })
                    }
                    // The fiber never began.
                    None => Err(JoinError { kind: Kind::Cancelled }),
                };
            }
            if local::with(|shard| self.wait(shard)).is_err() {
                return Err(JoinError { kind: Kind::Unwinding });
            }
        }
    }

    /// Waits until the fiber is over, or the calling fiber is woken for another reason.
    fn wait(&self, shard: &Shard) -> Result<(), Unwinding> {
        if shard.id != self.shard_id {
            self.watch_end();
            return park_for(shard, Wait::Call(&"JoinHandle::join"));
        }
        let joiner = shard.current();
        if let Some(text) = endless_join(shard, &joiner, self.fiber.key) {
            panic!("{text}");
        }
        self.fiber.joiner.set(Some(joiner));
        park_for(shard, Wait::End(self.fiber.key))
    }

    /// A handle to the fiber itself, for waking it.
    ///
    /// Not a yield point.
    pub fn fiber(&self) -> Fiber {
        let (shard_id, key) = (self.shard_id, self.fiber.key);
        Fiber { shard_id, key, mailbox: elsewhere::mailbox(shard_id) }
    }

    /// Whether the fiber has ended, so that [`join`](Self::join) would not wait. Not a yield point.
    pub fn is_finished(&self) -> bool {
        self.fiber.life.is_over()
    }

    /// Arranges that the calling fiber is woken at the end; returns false if the fiber is over
    /// already.
    pub(crate) fn watch_end(&self) -> bool {
        if !self.is_finished() {
            let (me, watchers) = (self.watcher(), &self.fiber.cold_mut().watchers);
            let mut list = watchers.take();
            // A fiber that unwound out of a wait for another shard's fiber is still in the list.
            if !list.contains(&me) {
                list.push(me);
            }
            watchers.set(list);
        }
        !self.is_finished()
    }

    /// The calling fiber.
    fn watcher(&self) -> EndWatcher {
        local::with(|shard| {
            let me = shard.current();
            if shard.id == self.shard_id {
                EndWatcher::Here(me)
            } else {
                EndWatcher::Elsewhere(shard.id, me.key)
            }
        })
    }

    /// Undoes a [`watch_end`](Self::watch_end) that returned true.
    pub(crate) fn unwatch_end(&self) {
        let (me, watchers) = (self.watcher(), &self.fiber.cold_mut().watchers);
        let mut list = watchers.take();
        list.retain(|watcher| *watcher != me);
        watchers.set(list);
    }

    /// Asks the fiber to end: it unwinds at its next yield point, where its destructors run.
    ///
    /// Not a yield point; [`join`](Self::join) waits for the end. A fiber that has not begun yet
    /// never begins. A fiber that swallows the unwind (`catch_unwind` in a loop) gets it again at
    /// its next yield points; then its yield points fail without waiting, and then it is abandoned,
    /// see [`is_abandoned`](JoinError::is_abandoned).
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let fiber = sched::spawn(|| sched::sleep(std::time::Duration::MAX));
    ///     sched::yield_now();
    ///     fiber.cancel();
    ///     assert!(fiber.join().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn cancel(&self) {
        if !self.is_finished() {
            let message = || Message::Cancel(self.fiber.key);
            elsewhere::at(self.shard_id, |shard| cancel(shard, &self.fiber), message);
        }
    }
}

impl<T> Packet<T> {
    pub(super) fn new(scope_state: Option<Rc<ScopeState>>) -> Self {
        Self { outcome: Cell::new(Left::Nothing), scope_state }
    }

    pub(super) fn fill(&self, outcome: Outcome<T>) {
        self.outcome.set(match outcome {
            Ok(value) => Left::Value(value),
            Err(payload) => Left::Unwound(Box::new(payload)),
        });
    }

    fn take(&self) -> Option<Outcome<T>> {
        match self.outcome.replace(Left::Nothing) {
            Left::Nothing => None,
            Left::Value(value) => Some(Ok(value)),
            Left::Unwound(payload) => Some(Err(*payload)),
        }
    }
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        let Some(Err(payload)) = self.take() else { return };
        let Some(scope_state) =
            self.scope_state.as_ref().filter(|scope_state| !scope_state.is_ended())
        else {
            return discard(payload);
        };
        if unwind::reason(&*payload).is_some() {
            return; // a cancel is no panic
        }
        scope_state.record_panic(payload).into_iter().for_each(discard);
        // The scope may wait for its other fibers already, and must cancel them.
        if scope_state.has_children() {
            let parent = &scope_state.parent;
            let message = || Message::Wake(parent.key);
            elsewhere::at(scope_state.shard_id, |shard| shard.wake(Rc::clone(parent)), message);
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

impl JoinError {
    fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        let kind = match unwind::reason(&*payload) {
            Some(Reason::Cancelled) => Kind::Cancelled,
            Some(Reason::Expired(_)) => Kind::Expired,
            None => Kind::Panic(Mutex::new(payload)),
        };
        Self { kind }
    }

    /// The fiber panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.kind, Kind::Panic(_))
    }

    /// The fiber was cancelled, by [`JoinHandle::cancel`] or because its shard ended.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// The fiber passed the deadline that it inherited from its scope.
    pub fn is_deadline_exceeded(&self) -> bool {
        matches!(self.kind, Kind::Expired)
    }

    /// The fiber was abandoned: it never runs again, and never ends. Its stack is lost, the values
    /// that it owns are not dropped, and the data that it borrows stays borrowed. If it belongs to
    /// a [`scope`](crate::scope), the scope's own fiber is abandoned too, as soon as that waits for
    /// the scope's end. A thread with such a fiber does not end, see [`run`](crate::run).
    ///
    /// This happens to a fiber that swallows its unwinds again and again, and to a fiber that stays
    /// in an [`uncancellable`](crate::uncancellable) section for too long at the end of its shard.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let stubborn = sched::spawn(|| loop {
    ///         let _ = std::panic::catch_unwind(sched::park);
    ///     });
    ///     sched::yield_now();
    ///     stubborn.cancel();
    ///     let error = stubborn.join().map(|()| "returned").unwrap_err();
    ///     assert!(error.is_abandoned());
    /// });
    /// ```
    pub fn is_abandoned(&self) -> bool {
        matches!(self.kind, Kind::Abandoned)
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// The error itself if the fiber did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.kind {
            Kind::Panic(payload) => Ok(payload.into_inner()),
            kind => Err(Self { kind }),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Panic(payload) => {
                // Copied: the formatter's writer may wait, and the lock must not be held meanwhile.
                let message = {
                    let payload = payload.lock();
                    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
                    text.or_else(|| payload.downcast_ref::<String>().cloned())
                };
                match message {
                    Some(message) => write!(f, "the fiber panicked: {message}"),
                    None => f.write_str("the fiber panicked"),
                }
            }
            Kind::Expired => {
                f.write_str("the fiber passed the deadline that it had from its scope")
            }
            Kind::Cancelled => f.write_str(
                "the fiber was cancelled, by its handle, its scope or the end of its shard",
            ),
            Kind::Abandoned => f.write_str(
                "the fiber was abandoned: it swallowed its unwinds, or did not leave an \
                 `uncancellable` section",
            ),
            Kind::Unwinding => f.write_str("the joining fiber may not wait"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Expired => Some(&DeadlineExceeded),
            Kind::Unwinding => Some(&Unwinding),
            Kind::Panic(_) | Kind::Cancelled | Kind::Abandoned => None,
        }
    }
}
