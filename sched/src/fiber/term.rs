//! A term: one hold of a lease. Its end is a point in time that moves while fibers run under it.
//!
//! The terms of a fiber are a chain, from the innermost to the outermost. The terms of one lease
//! are its first term, which the lease keeps for good, and those of further holds that began while
//! the first was held. The first term has the list of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::key::FiberKey;
use super::tick::Tick;
use super::unwind::Frame;

pub(crate) struct Term {
    until: Cell<Tick>,
    /// The call that catches the unwind.
    frame: Cell<Frame>,
    /// The fiber of that call, with its shard's number; none between two calls.
    holder: Cell<(u64, FiberKey)>,
    /// The term that the holder ran under before, and still runs under.
    pub(super) outer: RefCell<Option<Rc<Term>>>,
    /// The terms of fibers that hold the same lease while this one, its first, is held.
    further: RefCell<Vec<Rc<Term>>>,
}

impl Term {
    /// A term that nothing runs under.
    pub(crate) fn new() -> Self {
        Self {
            until: Cell::new(Tick::NEVER),
            frame: Cell::new(Frame::ROOT),
            holder: Cell::default(),
            outer: RefCell::new(None),
            further: RefCell::default(),
        }
    }

    /// On a lease's first term: returns a term for a hold that begins, which `holder` catches at
    /// `frame`.
    #[inline]
    pub(crate) fn begin(
        self: &Rc<Self>,
        until: Tick,
        frame: Frame,
        holder: (u64, FiberKey),
    ) -> Rc<Self> {
        let term = if self.is_held() { self.add_further() } else { Rc::clone(self) };
        term.until.set(until);
        term.frame.set(frame);
        term.holder.set(holder);
        term
    }

    /// On a lease's first term: the hold of `term` is over.
    #[inline]
    pub(crate) fn let_go(&self, term: &Rc<Self>) {
        term.holder.set((0, FiberKey::default()));
        if !std::ptr::eq(self, Rc::as_ptr(term)) {
            self.further.borrow_mut().retain(|further| !Rc::ptr_eq(further, term));
        }
    }

    /// On a lease's first term: calls `act` with each of the lease's terms.
    #[inline]
    pub(crate) fn for_each(&self, mut act: impl FnMut(&Self)) {
        act(self);
        self.further.borrow().iter().for_each(|term| act(term));
    }

    /// Moves the end; returns whether it was later before.
    #[inline]
    pub(crate) fn renew(&self, until: Tick) -> bool {
        until < self.until.replace(until)
    }

    /// Ends it now; returns the fiber that must find out.
    pub(crate) fn expire(&self) -> (u64, FiberKey) {
        self.until.set(Tick::from_nanos(0));
        self.holder.get()
    }

    /// The earliest end of it and those around it, and the frame that catches it: the outermost of
    /// several.
    pub(super) fn end(&self) -> (Tick, Frame) {
        let own = (self.until.get(), self.frame.get());
        let outer = self.outer.borrow().as_ref().map(|outer| outer.end());
        outer.filter(|outer| outer.0 <= own.0).unwrap_or(own)
    }

    fn is_held(&self) -> bool {
        self.holder.get().1 != FiberKey::default()
    }

    #[cold]
    fn add_further(&self) -> Rc<Self> {
        let term = Rc::new(Self::new());
        self.further.borrow_mut().push(Rc::clone(&term));
        term
    }
}
