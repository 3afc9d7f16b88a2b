//! Leases: deadlines that are renewed while the work under them goes on.
//!
//! A [`deadline`](super::deadline()) bounds how long a piece of work may take in all. To bound only
//! how long it may stand still, the code that makes progress renews a lease. A fiber runs under the
//! leases that it holds, one inside of the other, and shares them with the children of its scopes.
//! Each hold has an end and a frame of its own, so that it catches its own unwind. A
//! renewal is one store for each hold, and there nearly always is one. No fiber is told of a
//! renewal: a fiber finds out when its time seems to be over, see `Bounds::look`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::deadline::{DeadlineExceeded, settle};
use super::elsewhere;
use super::local;
use super::mailbox::Message;
use super::shard::Shard;
use crate::fiber::{FiberKey, LeaseHold, Tick};

/// A deadline that can be renewed, and used for one piece of work after the other.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, DeadlineExceeded, Lease};
///
/// sched::run(|| {
///     let lease = Lease::new();
///     let copied = lease.hold(Duration::from_millis(500), || {
///         for _ in 0..3 {
///             sched::sleep(Duration::from_millis(1)); // a piece of the work
///             lease.renew(Duration::from_millis(500));
///         }
///         "all of it"
///     });
///     assert_eq!(copied, Ok("all of it"));
///     let stuck = lease.hold(Duration::from_millis(1), sched::park);
///     assert_eq!(stuck, Err(DeadlineExceeded));
/// });
/// ```
#[derive(Clone)]
pub struct Lease {
    /// The first hold. It has the list of further holds that begin while it lasts.
    hold: Rc<LeaseHold>,
}

impl Lease {
    /// A lease that nothing runs under yet. Not a yield point.
    #[allow(clippy::new_without_default)] // a lease has an identity
    pub fn new() -> Self {
        Self { hold: Rc::new(LeaseHold::new()) }
    }

    /// Runs `body`, which has `duration` from the beginning of the turn (see
    /// [`turn_start`](crate::turn_start)), and more whenever the lease is [renewed](Self::renew).
    ///
    /// When the time has run out, `body` unwinds at its next yield point as with a
    /// [`deadline`](crate::deadline), and so do the children of its scopes, which run under the
    /// same lease.
    ///
    /// Holds nest: of this lease or of another one, in `body` or in a child of its scopes. Each
    /// hold catches its own end, and the ends of the holds around it apply as well.
    ///
    /// # Blocking
    ///
    /// Not a yield point itself.
    ///
    /// # Cancellation
    ///
    /// A cancel of the fiber, or the end of an outer deadline, passes through.
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`] when `body` was unwound because the lease had run out.
    ///
    /// # Panics
    ///
    /// When `body` does, and outside of a fiber.
    pub fn hold<T>(
        &self,
        duration: Duration,
        body: impl FnOnce() -> T,
    ) -> Result<T, DeadlineExceeded> {
        self.try_hold(duration, body).unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// As [`hold`](Self::hold), and catches every other unwind of `body` too.
    ///
    /// # Errors
    ///
    /// The payload of that unwind.
    #[doc(hidden)]
    #[inline]
    pub fn try_hold<T>(
        &self,
        duration: Duration,
        body: impl FnOnce() -> T,
    ) -> thread::Result<Result<T, DeadlineExceeded>> {
        let (fiber, frame, hold, raises) = local::with(|shard| {
            let (fiber, frame) = (shard.current(), shard.frames.next());
            let until = shard.clock.turn().saturating_add(duration);
            let hold = self.hold.begin(until, frame, (shard.id, fiber.key));
            let raises = fiber.bounds.enter(&hold, turn);
            fiber.bounds.renew_end();
            (fiber, frame, hold, raises)
        });
        let outcome = catch_unwind(AssertUnwindSafe(body));
        fiber.bounds.leave(&hold, raises, turn);
        self.hold.let_go(&hold);
        fiber.bounds.renew_end();
        settle(outcome, frame)
    }

    /// Ends the lease: code that runs under it unwinds at its next yield point, and at once if it
    /// waits. Another fiber of the shard calls it when the result is no longer needed; in a
    /// [simulation](crate::sim) it may be a fiber of another shard.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::{self as sched, DeadlineExceeded, Lease};
    ///
    /// sched::run(|| {
    ///     let lease = Lease::new();
    ///     let other = lease.clone();
    ///     sched::spawn(move || other.end());
    ///     let held = lease.hold(std::time::Duration::MAX, sched::park);
    ///     assert_eq!(held, Err(DeadlineExceeded));
    /// });
    /// ```
    pub fn end(&self) {
        self.hold.for_each(|hold| {
            let (shard_id, holder) = hold.expire();
            let message = || Message::LookAtEnd(holder);
            elsewhere::at(shard_id, |shard| look_at_end(shard, holder), message);
        });
    }

    /// Code that runs under the lease has `duration` from the beginning of the turn, whatever time
    /// it had before. A shorter time applies to the calling fiber at once, and to its children when
    /// their former time is over.
    ///
    /// Not a yield point. Outside of a fiber no code runs under the lease, so nothing happens.
    pub fn renew(&self, duration: Duration) {
        local::try_with(|shard| {
            let until = shard.clock.turn().saturating_add(duration);
            let mut is_shorter = false;
            self.hold.for_each(|hold| is_shorter |= hold.renew(until));
            if is_shorter {
                shard.current().bounds.renew_end();
            }
        });
    }
}

/// The time of the turn plus the duration; `None` beyond the range of the shard's clock.
fn turn() -> Option<Tick> {
    local::try_with(|shard| shard.clock.turn())
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// Makes a fiber find out that its lease has ended.
pub(super) fn look_at_end(shard: &Shard, holder: FiberKey) {
    let holder = shard.fibers.get(holder);
    if let Some(holder) = holder {
        holder.bounds.renew_end();
        shard.wake(holder);
    }
}
