//! The bounds of a fiber's work and of its wait: a cancel, and points in time.
//!
//! | field | meaning | changed by |
//! |---|---|---|
//! | `cancelled` | yield points raise, unless masked | `cancel`; nothing undoes it |
//! | `cancel_raises` | how often the cancel was raised | a yield point |
//! | `masked` | how many `uncancellable` sections surround it | `uncancellable` |
//! | `deadline` | the nearest one, and its raises | `deadline`, `uncancellable`, a yield point |
//! | `lease_hold` | the innermost lease that it holds | `Lease::hold`, `uncancellable` |
//! | `hold_raises` | how often the end of that was raised | `Lease::hold`, a yield point |
//! | `ends_at` | the earlier end of the two, at the last look | `renew_end` |
//! | `wake_at` | when a timed wait ends; else `NEVER` | a timed park, and its timer |
//! | `timer` | its time in its shard's queue of timers | that queue |
//!
//! A child of a scope begins with the `deadline` and the `lease_hold` of its parent.
//!
//! Invariants:
//! - `ends_at` is never later than the end of `deadline`. It may be earlier than the end of
//!   `lease_hold`, which other fibers renew without changing it: code that finds `ends_at` passed
//!   computes it anew.
//! - `timer <= min(wake_at, ends_at)` while the fiber is parked, unless another fiber has moved the
//!   end forward since (`Lease::renew` has the rule for that). While it runs, or is in the run
//!   queue, the timer may be later. It may always be earlier than needed: it is set again when it
//!   fires.
//! - If a cancel, a deadline, or the end of a hold was raised more than once, the fiber has
//!   swallowed it. `core` says how often it may.

use std::cell::Cell;
use std::rc::Rc;

use super::lease_hold::LeaseHold;
use super::peek::{copy_of, peek};
use super::tick::Tick;
use super::unwind::{Frame, Reason};

pub(crate) struct Bounds {
    ends_at: Cell<Tick>,
    deadline: Cell<Deadline>,
    hold: Cell<Option<Rc<LeaseHold>>>,
    wake_at: Cell<Tick>,
    timer: Cell<Tick>,
    /// Each section has a frame on a stack, or has lost one: there are never so many that this
    /// overflows.
    masked: Cell<usize>,
    hold_raises: Cell<u16>,
    cancel_raises: Cell<u16>,
    cancelled: Cell<bool>,
}

/// A point in time after which a fiber's yield points raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    at: Tick,
    /// The `deadline` call that catches the unwind; [`Frame::ROOT`] if a parent's call does.
    frame: Frame,
    /// How often its end was raised.
    raises: u16,
}

/// The bounds that an `uncancellable` section has put aside.
pub(crate) struct Outer {
    deadline: Deadline,
    hold: Option<Rc<LeaseHold>>,
}

/// The answer for a fiber whose time seems to be over.
pub(crate) enum Looked {
    /// The lease was renewed.
    Renewed,
    /// The time is over, and is raised for the time with that number.
    Over(Reason, u16),
}

impl Deadline {
    pub(crate) const NONE: Self = Self::new(Tick::NEVER, Frame::ROOT);

    pub(crate) const fn new(at: Tick, frame: Frame) -> Self {
        Self { at, frame, raises: 0 }
    }

    /// Whether it is later than `at`.
    pub(crate) fn is_after(self, at: Tick) -> bool {
        at < self.at
    }
}

impl Bounds {
    pub(super) fn new() -> Self {
        Self {
            ends_at: Cell::new(Tick::NEVER),
            deadline: Cell::new(Deadline::NONE),
            hold: Cell::new(None),
            wake_at: Cell::new(Tick::NEVER),
            timer: Cell::new(Tick::NEVER),
            masked: Cell::new(0),
            hold_raises: Cell::new(0),
            cancel_raises: Cell::new(0),
            cancelled: Cell::new(false),
        }
    }

    /// Every further yield point raises, unless it is masked.
    #[inline]
    pub(crate) fn cancel(&self) {
        self.cancelled.set(true);
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Whether the next yield point raises because of a cancel.
    #[inline]
    pub(crate) fn is_cancel_due(&self) -> bool {
        self.cancelled.get() && self.masked.get() == 0
    }

    /// Records that a cancel is raised; returns how often that was.
    pub(crate) fn record_cancel_raised(&self) -> u16 {
        let raises = self.cancel_raises.get() + 1;
        self.cancel_raises.set(raises);
        raises
    }

    /// Whether the next yield point raises.
    pub(crate) fn is_due(&self, now: Tick) -> bool {
        self.is_cancel_due() || self.renew_end() <= now
    }

    /// Whether its time seems to be over: [`look`](Self::look) finds out.
    #[inline]
    pub(crate) fn may_be_over(&self, now: Tick) -> bool {
        self.ends_at.get() <= now
    }

    /// Whether it has no end.
    pub(crate) fn is_endless(&self) -> bool {
        !self.cancelled.get() && self.ends_at.get() == Tick::NEVER
    }

    /// Finds out whether its time is over; if so, records that the end is raised.
    pub(crate) fn look(&self, now: Tick) -> Looked {
        let deadline = self.deadline.get();
        if deadline.at <= now {
            let raises = deadline.raises + 1;
            self.deadline.set(Deadline { raises, ..deadline });
            return Looked::Over(Reason::Expired(deadline.frame), raises);
        }
        let end = self.renew_end();
        if end > now {
            return Looked::Renewed;
        }
        let frame = peek(&self.hold, |hold| hold.map_or(Frame::ROOT, |hold| hold.end().1));
        let raises = self.hold_raises.get() + 1;
        self.hold_raises.set(raises);
        Looked::Over(Reason::Expired(frame), raises)
    }

    /// Computes the end, and returns it.
    #[inline]
    pub(crate) fn renew_end(&self) -> Tick {
        let of_hold = peek(&self.hold, |hold| hold.map_or(Tick::NEVER, |hold| hold.ends_at()));
        let end = of_hold.min(self.deadline.get().at);
        self.ends_at.set(end);
        end
    }

    /// The nearest deadline.
    #[inline]
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline.get()
    }

    /// Replaces the nearest deadline.
    #[inline]
    pub(crate) fn set_deadline(&self, deadline: Deadline) {
        self.deadline.set(deadline);
        self.renew_end();
    }

    /// Takes over the bounds of a parent, which catches the unwind.
    pub(crate) fn inherit(&self, parent: &Self) {
        self.deadline.set(Deadline::new(parent.deadline.get().at, Frame::ROOT));
        self.hold.set(copy_of(&parent.hold));
        self.renew_end();
    }

    /// Begins to run under `lease_hold` as well; returns the value for [`leave`](Self::leave).
    #[allow(clippy::inline_always)] // a call would cost ten instructions of each request
    #[inline(always)]
    pub(crate) fn enter(&self, hold: &Rc<LeaseHold>, now: impl FnOnce() -> Option<Tick>) -> u16 {
        let outer = self.hold.replace(Some(Rc::clone(hold)));
        let raises = self.hold_raises.get();
        if !is_over(outer.as_ref(), now) {
            self.hold_raises.set(0);
        }
        hold.outer.replace(outer);
        raises
    }

    /// The fiber stops running under the lease `hold`.
    #[allow(clippy::inline_always)] // a call would cost ten instructions of each request
    #[inline(always)]
    pub(crate) fn leave(&self, hold: &LeaseHold, raises: u16, now: impl FnOnce() -> Option<Tick>) {
        let outer = hold.outer.take();
        if !is_over(outer.as_ref(), now) {
            self.hold_raises.set(raises);
        }
        self.hold.set(outer);
    }

    #[inline]
    pub(crate) fn is_masked(&self) -> bool {
        self.masked.get() > 0
    }

    /// An `uncancellable` section begins, in which the former bounds do not apply.
    pub(crate) fn mask(&self) -> Outer {
        self.masked.set(self.masked.get() + 1);
        let outer =
            Outer { deadline: self.deadline.replace(Deadline::NONE), hold: self.hold.take() };
        self.ends_at.set(Tick::NEVER);
        outer
    }

    /// The section is over. The caller [computes the end](Self::renew_end) after it.
    pub(crate) fn unmask(&self, outer: Outer) {
        self.masked.set(self.masked.get() - 1);
        self.hold.set(outer.hold);
        self.deadline.set(outer.deadline);
    }

    /// When a fiber that waits is to be woken, if nothing else wakes it.
    #[inline]
    pub(crate) fn ends_or_wakes_at(&self) -> Tick {
        self.wake_at.get().min(self.ends_at.get())
    }

    /// A timed wait begins, which ends at `at`.
    #[inline]
    pub(crate) fn set_wake_at(&self, at: Tick) {
        self.wake_at.set(at);
    }

    /// The timed wait is over.
    #[inline]
    pub(crate) fn clear_wake_at(&self) {
        self.wake_at.set(Tick::NEVER);
    }

    #[inline]
    pub(crate) fn timer(&self) -> Tick {
        self.timer.get()
    }

    /// Called by the queue of timers only.
    #[inline]
    pub(crate) fn set_timer(&self, timer: Tick) {
        self.timer.set(timer);
    }

    /// The timer fired that was set to `timer`: whether the fiber is to be woken, and when the next
    /// timer is to fire.
    pub(crate) fn fire(&self, timer: Tick) -> (bool, Option<Tick>) {
        self.timer.set(Tick::NEVER);
        let wake_at = self.wake_at.get();
        let ends = [wake_at, self.renew_end()];
        if wake_at <= timer {
            self.wake_at.set(Tick::NEVER);
        }
        let next = ends.into_iter().filter(|at| *at > timer).min();
        (ends.iter().any(|at| *at <= timer), next)
    }
}

/// Whether an outer hold's time is over. The unwinds of an end that is swallowed still count.
#[inline]
fn is_over(outer: Option<&Rc<LeaseHold>>, now: impl FnOnce() -> Option<Tick>) -> bool {
    outer.is_some_and(|outer| now().is_some_and(|now| outer.ends_at() <= now))
}
