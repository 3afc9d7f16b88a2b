//! The points in time that end a fiber's work: its deadline, and the terms that it runs under.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::key::FiberKey;
use super::tick::Tick;
use super::unwind::Frame;

/// A point in time after which a fiber's yield points raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Tick,
    /// Which `deadline` call catches the unwind; [`Frame::ROOT`] if a parent's does.
    pub(crate) frame: Frame,
    /// How often its end was raised: more than once means that it is swallowed.
    pub(crate) raises: u16,
}

impl Deadline {
    pub(crate) const NONE: Self = Self::new(Tick::NEVER, Frame::ROOT);

    pub(crate) const fn new(at: Tick, frame: Frame) -> Self {
        Self { at, frame, raises: 0 }
    }
}

/// A point in time that is moved while fibers run under it: one `hold` of a lease.
pub(crate) struct Term {
    pub(crate) until: Cell<Tick>,
    /// Which call catches the unwind.
    pub(crate) frame: Cell<Frame>,
    /// Whose call that is: the number of a shard, and a fiber there; none between two calls.
    pub(crate) holder: Cell<(u64, FiberKey)>,
    /// What the holder ran under before, and runs under still.
    pub(crate) outer: RefCell<Option<Rc<Term>>>,
    /// The terms of those who hold the same lease while this one, its first, is held.
    pub(crate) further: RefCell<Vec<Rc<Term>>>,
}

impl Term {
    /// One that nothing runs under.
    pub(crate) fn new() -> Self {
        Self {
            until: Cell::new(Tick::NEVER),
            frame: Cell::new(Frame::ROOT),
            holder: Cell::default(),
            outer: RefCell::new(None),
            further: RefCell::default(),
        }
    }

    /// The earliest end of it and those around it, and whose that is: the outermost's of several.
    pub(crate) fn end(&self) -> (Tick, Frame) {
        let own = (self.until.get(), self.frame.get());
        let outer = self.outer.borrow().as_ref().map(|outer| outer.end());
        outer.filter(|outer| outer.0 <= own.0).unwrap_or(own)
    }
}
