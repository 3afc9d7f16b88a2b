//! One hold of a lease. Its end is a point in time that moves while fibers run under it.
//!
//! The holds of a fiber are a chain, from the innermost to the outermost. A lease has
//! one record for good, its first hold. Holds that begin while that one is in use get a record of
//! their own, and the first hold has the list of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use super::key::FiberKey;
use super::tick::Tick;
use super::unwind::Frame;

pub(crate) struct LeaseHold {
    until: Cell<Tick>,
    /// The call that catches the unwind.
    frame: Cell<Frame>,
    /// The fiber of that call, with its shard's number; none between two calls.
    holder: Cell<(u64, FiberKey)>,
    /// The hold that the holder ran under before, and still runs under.
    pub(super) outer: RefCell<Option<Rc<LeaseHold>>>,
    /// The holds of fibers that hold the same lease while this one, its first, is held.
    /// Boxed, because few leases ever have any.
    further: OnceCell<Box<RefCell<Vec<Rc<LeaseHold>>>>>,
}

impl LeaseHold {
    /// A hold that nothing runs under.
    pub(crate) fn new() -> Self {
        Self {
            until: Cell::new(Tick::NEVER),
            frame: Cell::new(Frame::ROOT),
            holder: Cell::default(),
            outer: RefCell::new(None),
            further: OnceCell::new(),
        }
    }

    /// On a lease's first hold: begins a hold, whose end `holder` catches at `frame`. Returns its
    /// record.
    #[inline]
    pub(crate) fn begin(
        self: &Rc<Self>,
        until: Tick,
        frame: Frame,
        holder: (u64, FiberKey),
    ) -> Rc<Self> {
        let hold = if self.is_held() { self.add_further() } else { Rc::clone(self) };
        hold.until.set(until);
        hold.frame.set(frame);
        hold.holder.set(holder);
        hold
    }

    /// On a lease's first hold: `hold` is over.
    #[allow(clippy::inline_always)] // a call would cost ten instructions of each request
    #[inline(always)]
    pub(crate) fn let_go(&self, hold: &Rc<Self>) {
        hold.holder.set((0, FiberKey::default()));
        if !std::ptr::eq(self, Rc::as_ptr(hold)) {
            self.remove_further(hold);
        }
    }

    /// On a lease's first hold: calls `act` with each of the lease's holds.
    #[inline]
    pub(crate) fn for_each(&self, mut act: impl FnMut(&Self)) {
        act(self);
        if let Some(further) = self.further.get() {
            further.borrow().iter().for_each(|hold| act(hold));
        }
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

    /// The earliest end among this lease and the leases around it, and the frame that catches it.
    /// If several end at that time, the frame of the outermost.
    pub(super) fn end(&self) -> (Tick, Frame) {
        let own = (self.until.get(), self.frame.get());
        let outer = self.outer.borrow().as_ref().map(|outer| outer.end());
        outer.filter(|outer| outer.0 <= own.0).unwrap_or(own)
    }

    /// The same end without the frame.
    #[inline]
    pub(super) fn ends_at(&self) -> Tick {
        if self.outer.borrow().is_none() { self.until.get() } else { self.end().0 }
    }

    fn is_held(&self) -> bool {
        self.holder.get().1 != FiberKey::default()
    }

    #[cold]
    fn remove_further(&self, hold: &Rc<Self>) {
        if let Some(further) = self.further.get() {
            further.borrow_mut().retain(|further| !Rc::ptr_eq(further, hold));
        }
    }

    #[cold]
    fn add_further(&self) -> Rc<Self> {
        let hold = Rc::new(Self::new());
        self.further.get_or_init(Box::default).borrow_mut().push(Rc::clone(&hold));
        hold
    }
}
