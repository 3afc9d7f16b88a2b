//! Leases: deadlines that are renewed while the work under them goes on.
//!
//! A [`deadline`](super::deadline()) bounds how long a piece of work may take in all. Where only
//! standing still is to be bounded, whoever makes progress renews a lease instead. A fiber runs
//! under one lease at most and shares it with the children of its scopes; a renewal is one store.
//! Nobody is told of it: a fiber finds out when it believes that its time is over, see `is_over` in
//! `park`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::deadline::DeadlineExceeded;
use super::local;
use crate::fiber::unwind::{self, Reason};
use crate::fiber::{Deadline, FiberKey, Frame, Term, Tick};

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
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Lease {
    term: Rc<Term>,
}

impl Lease {
    /// One that nothing runs under yet. Not a yield point.
    #[allow(clippy::new_without_default)] // a lease is no value
    pub fn new() -> Self {
        Self {
            term: Rc::new(Term {
                until: Cell::new(Tick::NEVER),
                frame: Cell::new(Frame::ROOT),
                holder: Cell::default(),
            }),
        }
    }

    /// Runs `body`, which has `duration` from the beginning of the turn (see [`now`](crate::now)),
    /// and as much longer as it is [renewed](Self::renew).
    ///
    /// What runs out is as with a [`deadline`](crate::deadline): `body` unwinds at its next yield
    /// point, and so do the children of its scopes, which run under the same lease. Another lease
    /// that is held inside counts instead of this one, but not for longer than this one had when
    /// that began.
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
        local::with(|shard| {
            let fiber = shard.current();
            let frame = shard.next_frame();
            self.term.until.set(shard.tick.get().saturating_add(duration));
            self.term.frame.set(frame);
            self.term.holder.set(fiber.key);
            let outer = fiber.deadline.get();
            let outer_term = fiber.term.replace(Some(Rc::clone(&self.term)));
            let outer_raises = fiber.term_raises.replace(0);
            if let Some(term) = &outer_term
                && term.until.get() < outer.at
            {
                fiber.deadline.set(Deadline::new(term.until.get(), term.frame.get()));
            }
            shard.set_alarm(&fiber, fiber.renew_end());
            let outcome = catch_unwind(AssertUnwindSafe(body));
            self.term.holder.set(FiberKey::default());
            fiber.term.replace(outer_term);
            fiber.term_raises.set(outer_raises);
            shard.set_deadline(&fiber, outer);
            match outcome {
                Ok(value) => Ok(value),
                Err(payload) if unwind::reason(&*payload) == Some(Reason::Expired(frame)) => {
                    shard.counters.deadlines_exceeded.add(1);
                    Err(DeadlineExceeded)
                }
                Err(payload) => resume_unwind(payload),
            }
        })
    }

    /// Ends the lease: what runs under it unwinds at its next yield point, and at once if it waits.
    /// For another fiber of the shard, that has found out that the work is in vain.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
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
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn end(&self) {
        local::with(|shard| {
            self.term.until.set(Tick::from_nanos(0));
            let holder = shard.fibers.borrow().get(self.term.holder.get()).cloned();
            if let Some(holder) = holder {
                holder.renew_end();
                shard.wake(holder);
            }
        });
    }

    /// What runs under the lease has `duration` from the beginning of the turn, whatever it had
    /// before. A shorter one holds for the calling fiber at once, and for its children when the
    /// time is over that they had.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    pub fn renew(&self, duration: Duration) {
        local::with(|shard| {
            let until = shard.tick.get().saturating_add(duration);
            if until < self.term.until.replace(until) {
                let fiber = shard.current();
                shard.set_alarm(&fiber, fiber.renew_end());
            }
        });
    }
}
