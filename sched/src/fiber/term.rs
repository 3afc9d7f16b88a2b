//! A term: one hold of a lease, which is a point in time that is moved while fibers run under it.
//!
//! The terms of a fiber are a chain, from the innermost to the outermost. The terms of one lease
//! are its first, which the lease keeps for good, and those of further holds that began while the
//! first was held; the first has the list of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::key::FiberKey;
use super::tick::Tick;
use super::unwind::Frame;

pub(crate) struct Term {
    until: Cell<Tick>,
    /// Which call catches the unwind.
    frame: Cell<Frame>,
    /// Whose call that is: the number of a shard, and a fiber there; none between two calls.
    holder: Cell<(u64, FiberKey)>,
    /// What the holder ran under before, and runs under still.
    pub(super) outer: RefCell<Option<Rc<Term>>>,
    /// The terms of those who hold the same lease while this one, its first, is held.
    further: RefCell<Vec<Rc<Term>>>,
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

    /// Of a lease's first term: one for a hold that begins, which `holder` catches at `frame`.
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

    /// Of a lease's first term: the hold of `term` is over.
    #[inline]
    pub(crate) fn let_go(&self, term: &Rc<Self>) {
        term.holder.set((0, FiberKey::default()));
        if !std::ptr::eq(self, Rc::as_ptr(term)) {
            self.further.borrow_mut().retain(|further| !Rc::ptr_eq(further, term));
        }
    }

    /// Of a lease's first term: calls `act` with each.
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

    /// Ends it now, and returns who is to hear of it.
    pub(crate) fn expire(&self) -> (u64, FiberKey) {
        self.until.set(Tick::from_nanos(0));
        self.holder.get()
    }

    /// The earliest end of it and those around it, and whose that is: the outermost's of several.
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
