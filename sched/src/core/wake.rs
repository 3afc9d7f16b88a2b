//! Waking a fiber, from its own thread and from others.
//!
//! A wake-up of a fiber that has not parked yet is kept: the fiber is then in the run queue, and
//! its park lasts until its turn comes.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::fiber_info::{label, number};
use super::local;
use super::mailbox::{Mailbox, Message};
use super::shard::Shard;
use super::timer::set_timer;
use crate::fiber::{FiberCell, FiberKey, with_running};

/// A handle to a fiber, for waking or cancelling it from anywhere.
///
/// Like [`std::thread::Thread`], and returned by [`current`] as there; its example shows it.
#[derive(Clone)]
pub struct Fiber {
    pub(super) shard_id: u64,
    pub(super) key: FiberKey,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Fiber {
    /// Ends the fiber's current or next [`park`](crate::park). In any other wait the fiber looks at
    /// its condition again, and a resting fiber runs an activation. Works from every thread; does
    /// nothing if the fiber has ended.
    ///
    /// Not a yield point.
    pub fn unpark(&self) {
        if !self.on_its_shard(|shard| shard.unpark_key(self.key)) {
            // A closed mailbox means that the fiber has ended, which is no error here.
            let _ = self.mailbox.send(Message::Unpark(self.key));
        }
    }

    /// Asks the fiber to end, as [`JoinHandle::cancel`](crate::JoinHandle::cancel). Works from
    /// every thread; does nothing if the fiber has ended.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let fiber = sched::spawn(sched::park);
    ///     let handle = fiber.fiber();
    ///     std::thread::spawn(move || handle.cancel()).join().unwrap();
    ///     assert!(fiber.join().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn cancel(&self) {
        let cancel = |shard: &Shard| {
            let fiber = shard.fibers.get(self.key);
            fiber.into_iter().for_each(|fiber| cancel(shard, &fiber));
        };
        if !self.on_its_shard(cancel) {
            // A closed mailbox means that the fiber has ended.
            let _ = self.mailbox.send(Message::Cancel(self.key));
        }
    }

    /// The number that [`FiberInfo::id`](crate::FiberInfo::id) shows. Not a yield point.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| assert_eq!(sched::current().number(), sched::inspect()[0].id));
    /// ```
    pub fn number(&self) -> u64 {
        number(self.key)
    }

    /// Ends the fiber's current wait, or its next one if it has not begun; also a [`park`], which
    /// may return early, but not the park after it. From every thread.
    pub(crate) fn wake(&self) {
        if !self.on_its_shard(|shard| shard.wake_key(self.key)) {
            let _ = self.mailbox.send(Message::Wake(self.key));
        }
    }

    /// Identifies the fiber in the process.
    pub(crate) fn id(&self) -> (u64, FiberKey) {
        (self.shard_id, self.key)
    }

    /// Calls `act` if the caller is on the fiber's own thread; returns whether it is.
    fn on_its_shard(&self, act: impl FnOnce(&Shard)) -> bool {
        local::try_with(|shard| {
            let here = shard.id == self.shard_id;
            if here {
                act(shard);
            }
            here
        })
        .unwrap_or(false)
    }
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("shard", &self.shard_id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A handle to the calling fiber.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let me = sched::current();
///     sched::spawn(move || me.unpark());
///     sched::park();
/// });
/// ```
#[track_caller]
pub fn current() -> Fiber {
    local::with(|shard| handle_to(shard, &shard.current()))
}

/// As [`current`]; `None` outside of fibers: for code that also works on plain threads.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched as sched;
///
/// assert!(sched::try_current().is_none());
/// sched::run(|| assert!(sched::try_current().is_some()));
/// ```
pub fn try_current() -> Option<Fiber> {
    local::try_with(|shard| shard.try_current().map(|fiber| handle_to(shard, &fiber))).flatten()
}

/// Identifies the calling fiber in the process; `None` outside of fibers.
pub(crate) fn current_id() -> Option<(u64, FiberKey)> {
    local::try_with(|shard| with_running(|fiber| (shard.id, fiber.key))).flatten()
}

/// Puts the calling fiber into the run queue, so that its next wait ends early, after the other
/// ready fibers have run. An activation that has more to do before it rests calls this and ends.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::ops::ControlFlow;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let mut left = 3;
///     let fiber = sched::spawn_stackless(move || {
///         left -= 1;
///         if left == 0 {
///             return ControlFlow::Break(());
///         }
///         sched::wake_later();
///         ControlFlow::Continue(())
///     });
///     fiber.join().unwrap();
/// });
/// ```
#[track_caller]
pub fn wake_later() {
    local::with(|shard| shard.wake(shard.current()));
}

/// Wakes the calling fiber at `at`, unless it has waited again by then: for an activation that
/// rests until a point in time, which calls this last.
///
/// Another call replaces the time, and each timed wait of the fiber removes it. A fiber that was
/// woken earlier, by something else, is still woken at that time, unless it does one of the two.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let at = Instant::now() + Duration::from_millis(2);
///     let fiber = sched::spawn_stackless(move || {
///         if sched::now() >= at {
///             return ControlFlow::Break(());
///         }
///         sched::wake_at(at);
///         ControlFlow::Continue(()) // it holds no stack until then
///     });
///     fiber.join().unwrap();
///     assert!(Instant::now() >= at);
/// });
/// ```
#[track_caller]
pub fn wake_at(at: Instant) {
    local::with(|shard| {
        let (fiber, at) = (shard.current(), shard.tick_of(at));
        fiber.bounds.set_wake_at(at);
        set_timer(shard, &fiber, at);
    });
}

pub(super) fn handle_to(shard: &Shard, fiber: &FiberCell) -> Fiber {
    Fiber { shard_id: shard.id, key: fiber.key, mailbox: Arc::clone(shard.inbox.mailbox()) }
}

/// Cancels a fiber: every further yield point of it raises.
pub(crate) fn cancel(shard: &Shard, fiber: &Rc<FiberCell>) {
    shard.note(|| format!("cancels {}", label(fiber)));
    fiber.bounds.cancel();
    shard.wake(Rc::clone(fiber));
}
