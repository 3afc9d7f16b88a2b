//! What ends a fiber's work or its wait from outside: a cancel, and points in time.
//!
//! | field | what it says | who changes it |
//! |---|---|---|
//! | `cancelled` | yield points raise, unless masked | `cancel`; nothing takes it back |
//! | `cancel_raises` | how often that was raised | a yield point |
//! | `masked` | so many `uncancellable` sections around it | `uncancellable` |
//! | `deadline` | the nearest one, and its raises | `deadline`, `uncancellable`, a yield point |
//! | `term` | the innermost lease that it holds | `Lease::hold`, `uncancellable` |
//! | `term_raises` | how often the end of that was raised | `Lease::hold`, a yield point |
//! | `ends_at` | the earlier end of the two, when last looked at | `renew_end` |
//! | `wake_at` | when a timed wait ends; else `NEVER` | a timed park, and its alarm |
//! | `alarm` | where it stands in its shard's queue of alarms | that queue |
//!
//! A child of a scope begins with the `deadline` and the `term` of its parent.
//!
//! Invariants:
//! - `ends_at` is never later than the end of `deadline`, and may be earlier than that of `term`,
//!   which others renew without a word: whoever finds `ends_at` passed works it out anew.
//! - `alarm <= min(wake_at, ends_at)` while the fiber is parked, unless another fiber has moved the
//!   end forward since (`Lease::renew` says what holds then). It may be earlier than is needed: it
//!   is then set anew when it goes off.
//! - A cancel, a deadline, or the end of a term that was raised more than once is one that the
//!   fiber swallows. `core` says how often it may.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::term::Term;
use super::tick::Tick;
use super::unwind::{Frame, Reason};

pub(crate) struct Bounds {
    ends_at: Cell<Tick>,
    deadline: Cell<Deadline>,
    term: RefCell<Option<Rc<Term>>>,
    wake_at: Cell<Tick>,
    alarm: Cell<Tick>,
    /// Each section has a frame on some stack, or has lost one: they cannot be so many that this
    /// overflows.
    masked: Cell<usize>,
    term_raises: Cell<u16>,
    cancel_raises: Cell<u16>,
    cancelled: Cell<bool>,
}

/// A point in time after which a fiber's yield points raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    at: Tick,
    /// Which `deadline` call catches the unwind; [`Frame::ROOT`] if a parent's does.
    frame: Frame,
    /// How often its end was raised.
    raises: u16,
}

/// What an `uncancellable` section has put aside.
pub(crate) struct Outer {
    deadline: Deadline,
    term: Option<Rc<Term>>,
}

/// What a fiber finds that believes that its time is over.
pub(crate) enum Looked {
    /// It was renewed, and ends then.
    Renewed(Tick),
    /// It is, and is raised for the time of that number.
    Over(Reason, u16),
}

impl Deadline {
    pub(crate) const NONE: Self = Self::new(Tick::NEVER, Frame::ROOT);

    pub(crate) const fn new(at: Tick, frame: Frame) -> Self {
        Self { at, frame, raises: 0 }
    }

    /// Whether it comes after `at`.
    pub(crate) fn is_after(self, at: Tick) -> bool {
        at < self.at
    }
}

impl Bounds {
    pub(super) fn new() -> Self {
        Self {
            ends_at: Cell::new(Tick::NEVER),
            deadline: Cell::new(Deadline::NONE),
            term: RefCell::new(None),
            wake_at: Cell::new(Tick::NEVER),
            alarm: Cell::new(Tick::NEVER),
            masked: Cell::new(0),
            term_raises: Cell::new(0),
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

    /// A cancel is raised; returns for which time.
    pub(crate) fn note_cancel_raised(&self) -> u16 {
        let raises = self.cancel_raises.get() + 1;
        self.cancel_raises.set(raises);
        raises
    }

    /// Whether the next yield point raises.
    pub(crate) fn is_due(&self, now: Tick) -> bool {
        self.is_cancel_due() || self.renew_end() <= now
    }

    /// Whether its time seems to be over: [`look`](Self::look) says whether it is.
    #[inline]
    pub(crate) fn may_be_over(&self, now: Tick) -> bool {
        self.ends_at.get() <= now
    }

    /// Whether nothing ends it.
    pub(crate) fn is_endless(&self) -> bool {
        !self.cancelled.get() && self.ends_at.get() == Tick::NEVER
    }

    /// Finds out whether its time is over; if it is, notes that it is raised.
    pub(crate) fn look(&self, now: Tick) -> Looked {
        let deadline = self.deadline.get();
        if deadline.at <= now {
            let raises = deadline.raises + 1;
            self.deadline.set(Deadline { raises, ..deadline });
            return Looked::Over(Reason::Expired(deadline.frame), raises);
        }
        let end = self.renew_end();
        if end > now {
            return Looked::Renewed(end);
        }
        let frame = self.term.borrow().as_ref().map_or(Frame::ROOT, |term| term.end().1);
        let raises = self.term_raises.get() + 1;
        self.term_raises.set(raises);
        Looked::Over(Reason::Expired(frame), raises)
    }

    /// Works out when it ends, and returns it. The fiber's alarm is to be set to that.
    #[inline]
    pub(crate) fn renew_end(&self) -> Tick {
        let of_term = self.term.borrow().as_ref().map_or(Tick::NEVER, |term| term.end().0);
        let end = of_term.min(self.deadline.get().at);
        self.ends_at.set(end);
        end
    }

    /// The nearest deadline.
    #[inline]
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline.get()
    }

    /// Replaces the nearest deadline, and returns when it ends.
    #[inline]
    pub(crate) fn set_deadline(&self, deadline: Deadline) -> Tick {
        self.deadline.set(deadline);
        self.renew_end()
    }

    /// Begins with what a parent runs under, and returns when it ends. The unwind is
    /// the parent's to catch.
    pub(crate) fn inherit(&self, parent: &Self) -> Tick {
        self.deadline.set(Deadline::new(parent.deadline.get().at, Frame::ROOT));
        self.term.replace(parent.term.borrow().clone());
        self.renew_end()
    }

    /// Begins to run under `term` besides; returns what [`leave`](Self::leave) is to be told.
    #[allow(clippy::inline_always)] // a call would cost ten instructions of each request
    #[inline(always)]
    pub(crate) fn enter(&self, term: &Rc<Term>, now: impl FnOnce() -> Option<Tick>) -> u16 {
        let outer = self.term.replace(Some(Rc::clone(term)));
        let raises = self.term_raises.get();
        if !is_over(outer.as_ref(), now) {
            self.term_raises.set(0);
        }
        term.outer.replace(outer);
        raises
    }

    /// Runs under `term` no more.
    #[allow(clippy::inline_always)] // a call would cost ten instructions of each request
    #[inline(always)]
    pub(crate) fn leave(&self, term: &Term, raises: u16, now: impl FnOnce() -> Option<Tick>) {
        let outer = term.outer.take();
        if !is_over(outer.as_ref(), now) {
            self.term_raises.set(raises);
        }
        self.term.replace(outer);
    }

    #[inline]
    pub(crate) fn is_masked(&self) -> bool {
        self.masked.get() > 0
    }

    /// An `uncancellable` section begins, in which nothing holds that held before.
    pub(crate) fn mask(&self) -> Outer {
        self.masked.set(self.masked.get() + 1);
        let outer =
            Outer { deadline: self.deadline.replace(Deadline::NONE), term: self.term.take() };
        self.ends_at.set(Tick::NEVER);
        outer
    }

    /// The section is over. Its end is to be [worked out](Self::renew_end) after it.
    pub(crate) fn unmask(&self, outer: Outer) {
        self.masked.set(self.masked.get() - 1);
        self.term.replace(outer.term);
        self.deadline.set(outer.deadline);
    }

    /// A timed wait begins, which ends then.
    #[inline]
    pub(crate) fn set_wake_at(&self, at: Tick) {
        self.wake_at.set(at);
    }

    /// It is over.
    #[inline]
    pub(crate) fn clear_wake_at(&self) {
        self.wake_at.set(Tick::NEVER);
    }

    #[inline]
    pub(crate) fn alarm(&self) -> Tick {
        self.alarm.get()
    }

    /// By the queue of alarms only.
    #[inline]
    pub(crate) fn set_alarm(&self, alarm: Tick) {
        self.alarm.set(alarm);
    }

    /// The alarm has gone off that stood at `alarm`: whether the fiber is to be woken, and when the
    /// next one is to go off.
    pub(crate) fn ring(&self, alarm: Tick) -> (bool, Option<Tick>) {
        self.alarm.set(Tick::NEVER);
        let wake_at = self.wake_at.get();
        let ends = [wake_at, self.renew_end()];
        if wake_at <= alarm {
            self.wake_at.set(Tick::NEVER);
        }
        let next = ends.into_iter().filter(|at| *at > alarm).min();
        (ends.iter().any(|at| *at <= alarm), next)
    }
}

/// Whether an outer hold's time is over. The unwinds of one that is swallowed go on to count.
#[inline]
fn is_over(outer: Option<&Rc<Term>>, now: impl FnOnce() -> Option<Tick>) -> bool {
    outer.is_some_and(|outer| now().is_some_and(|now| outer.end().0 <= now))
}
