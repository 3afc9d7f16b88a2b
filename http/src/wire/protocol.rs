//! The state that a drain and an upgraded connection share: when the connection last sent or
//! received bytes, and which fibers the drain interrupts.
//!
//! A drain interrupts a protocol once at most: `interrupt` only advances, from `No` to `Wanted` and
//! from there to `Done`.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Instant;

use slotmap::{DefaultKey, SlotMap};
use straightline_sched::{Fiber, current, turn_start};

/// A drain's view of an upgraded connection.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// When bytes were last sent or received.
    last_transfer: Cell<Instant>,
    interrupt: Cell<DrainInterrupt>,
    /// The protocol watches for the drain by itself.
    watches_drain: Cell<bool>,
    /// Fibers that wait to read, and that a drain interrupts.
    readers: RefCell<SlotMap<DefaultKey, Fiber>>,
    /// The drain has ended it because it was silent.
    is_force_closed: Cell<bool>,
}

/// Whether a drain interrupts the protocol's reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DrainInterrupt {
    No,
    /// The drain interrupts the next read that has to wait.
    Wanted,
    Done,
}

impl Protocol {
    /// The state of a connection that is upgraded now, and that a drain does not interrupt yet.
    pub(super) fn new() -> Self {
        Self {
            last_transfer: Cell::new(turn_start()),
            interrupt: Cell::new(DrainInterrupt::No),
            watches_drain: Cell::new(false),
            readers: RefCell::default(),
            is_force_closed: Cell::new(false),
        }
    }

    /// A drain is to interrupt the next read that has to wait.
    pub(super) fn interrupt_on_drain(&self) {
        if self.interrupt.get() == DrainInterrupt::No {
            self.interrupt.set(DrainInterrupt::Wanted);
        }
    }

    /// The protocol watches for the drain by itself.
    pub(super) fn watch_drain(&self) {
        self.watches_drain.set(true);
    }

    /// A read has to wait. The wait ends when the returned value is dropped. An error is the
    /// interruption by a drain.
    pub(super) fn begin_read(&self, is_draining: bool) -> io::Result<Option<Reading<'_>>> {
        if self.interrupt.get() != DrainInterrupt::Wanted {
            return Ok(None);
        }
        if is_draining {
            self.interrupt.set(DrainInterrupt::Done);
            return Err(io::Error::other("the server is draining"));
        }
        Ok(Some(Reading(self, self.readers.borrow_mut().insert(current()))))
    }

    /// Bytes were sent or received.
    pub(super) fn record_transfer(&self) {
        self.last_transfer.set(turn_start());
    }

    /// A drain has begun: wakes the fibers that it interrupts.
    pub(crate) fn interrupt_reads(&self) {
        self.readers.borrow().values().for_each(Fiber::unpark);
    }

    /// Whether no bytes were sent or received since `since`, and the protocol does not learn of the
    /// drain.
    pub(crate) fn is_idle_since(&self, since: Instant) -> bool {
        self.interrupt.get() == DrainInterrupt::No
            && !self.watches_drain.get()
            && !self.is_force_closed.get()
            && self.last_transfer.get() <= since
    }

    /// The drain ends the protocol because it is silent.
    pub(crate) fn force_close(&self) {
        self.is_force_closed.set(true);
    }

    pub(crate) fn is_force_closed(&self) -> bool {
        self.is_force_closed.get()
    }
}

/// A read that waits, and that a drain interrupts.
pub(super) struct Reading<'p>(&'p Protocol, DefaultKey);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let _reader = self.0.readers.borrow_mut().remove(self.1);
    }
}
