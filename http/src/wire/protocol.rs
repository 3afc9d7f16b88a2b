//! What a drain and another protocol know of each other: when bytes came or left last, and which
//! fibers are to hear of the drain.
//!
//! A protocol hears of a drain once at most: `hearing` only goes on, from `No` to `Wanted` and from
//! there to `Done`.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Instant;

use slotmap::{DefaultKey, SlotMap};
use straightline_sched::{Fiber, current, now};

/// What a drain knows of an upgraded connection.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// When something came or left last.
    moved_at: Cell<Instant>,
    hearing: Cell<Hearing>,
    /// Fibers that wait to read, and are to hear of a drain.
    readers: RefCell<SlotMap<DefaultKey, Fiber>>,
    /// It did nothing while it was waited for.
    is_cut: Cell<bool>,
}

/// Whether a protocol is to hear of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    No,
    /// From the next read that has to wait.
    Wanted,
    Done,
}

impl Protocol {
    /// One that begins now, and does not want to hear of a drain yet.
    pub(super) fn new() -> Self {
        Self {
            moved_at: Cell::new(now()),
            hearing: Cell::new(Hearing::No),
            readers: RefCell::default(),
            is_cut: Cell::new(false),
        }
    }

    /// It wants to hear of a drain, at the next read that has to wait.
    pub(super) fn interrupt_on_drain(&self) {
        if self.hearing.get() == Hearing::No {
            self.hearing.set(Hearing::Wanted);
        }
    }

    /// A read has to wait, until what this returns is dropped. An error is the drain that the
    /// protocol wants to hear of.
    pub(super) fn begin_read(&self, is_draining: bool) -> io::Result<Option<Reading<'_>>> {
        if self.hearing.get() != Hearing::Wanted {
            return Ok(None);
        }
        if is_draining {
            self.hearing.set(Hearing::Done);
            return Err(io::Error::other("the server is draining"));
        }
        Ok(Some(Reading(self, self.readers.borrow_mut().insert(current()))))
    }

    /// Something came or left.
    pub(super) fn record_moved(&self) {
        self.moved_at.set(now());
    }

    /// A drain has begun.
    pub(crate) fn hear_drain(&self) {
        self.readers.borrow().values().for_each(Fiber::unpark);
    }

    /// Whether nothing has come or left since that time, and it does not want to hear of drains.
    pub(crate) fn is_idle_since(&self, since: Instant) -> bool {
        self.hearing.get() == Hearing::No && !self.is_cut.get() && self.moved_at.get() <= since
    }

    /// It is ended for that.
    pub(crate) fn cut(&self) {
        self.is_cut.set(true);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }
}

/// A wait that a drain is to end.
pub(super) struct Reading<'p>(&'p Protocol, DefaultKey);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let _reader = self.0.readers.borrow_mut().remove(self.1);
    }
}
