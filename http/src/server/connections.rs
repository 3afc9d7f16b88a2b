//! The open connections of a shard, and the fibers that wait for one to come or to leave.
//!
//! A connection has its fiber from the moment when it is in the table. While the table is borrowed
//! nothing runs that could come back to it: fibers are woken, not resumed, and what leaves the
//! table is dropped by the caller.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slotmap::SlotMap;
use straightline_sched::{self as sched, Fiber, FiberInfo};

use super::entry::{ConnectionKey, Entry};
use super::evict::Evictable;
use super::idle_reaper::Sweeps;
use crate::wire::{IdleEnd, Link};

/// The connections of a shard.
#[derive(Default)]
pub(super) struct Connections {
    open: RefCell<SlotMap<ConnectionKey, Entry>>,
    /// Those that may go if there is no room for another.
    evictable: Evictable,
    /// The fiber that sweeps, while it waits for the first connection.
    idle_reaper: RefCell<Option<Fiber>>,
    /// Acceptors that wait for a connection to leave.
    acceptors: RefCell<Vec<Fiber>>,
    /// How many connections have left.
    leaves: Cell<u64>,
}

impl Connections {
    /// Enters a connection. `make` gets its key, and must not use the table.
    pub(super) fn enter(&self, make: impl FnOnce(ConnectionKey) -> Entry) {
        if let Some(idle_reaper) = self.idle_reaper.take() {
            idle_reaper.unpark();
        }
        self.open.borrow_mut().insert_with_key(make);
    }

    /// The connection is over. None if it has left already.
    pub(super) fn leave(&self, key: ConnectionKey) -> Option<Entry> {
        let left = self.open.borrow_mut().remove(key)?;
        self.leaves.set(self.leaves.get() + 1);
        self.acceptors.borrow_mut().drain(..).for_each(|acceptor| acceptor.unpark());
        Some(left)
    }

    pub(super) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Shows all of them to `look`, which must not use the table.
    pub(super) fn for_each(&self, look: impl FnMut(&Entry)) {
        self.open.borrow().values().for_each(look);
    }

    /// The connection of that fiber.
    pub(super) fn of_fiber(&self, fiber: &FiberInfo) -> Option<(ConnectionKey, Rc<Link>)> {
        let open = self.open.borrow();
        let found = open.iter().find(|(_, entry)| entry.fiber().number() == fiber.id);
        found.map(|(key, entry)| (key, Rc::clone(entry.link())))
    }

    /// Whether [`evict`](Self::evict) would close one. `sweep` is the number of the next sweep.
    pub(super) fn has_evictable(&self, sweep: u32) -> bool {
        self.evictable.first(&self.open.borrow(), sweep).is_some()
    }

    /// Closes a connection that rests; false if there is none that has rested for long enough.
    pub(super) fn evict(&self, sweep: u32) -> bool {
        let open = self.open.borrow();
        let first = self.evictable.first(&open, sweep).and_then(|key| open.get(key));
        first.inspect(|entry| entry.end_idle(IdleEnd::Evicted)).is_some()
    }

    /// Has every connection end that has rested for too long by the sweep of that number.
    pub(super) fn expire(&self, sweep: u32, sweeps: Sweeps) {
        self.for_each(|entry| {
            let link = entry.link();
            let Some(since) = link.idle_since() else { return };
            let most = if link.is_new() { sweeps.new } else { sweeps.idle };
            if sweep.saturating_sub(since) >= most {
                entry.end_idle(IdleEnd::Expired);
            }
        });
    }

    /// Waits until there are any.
    pub(super) fn wait_for_any(&self) {
        while self.is_empty() {
            self.idle_reaper.replace(Some(sched::current()));
            sched::park();
        }
    }

    /// How many have left so far.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves.get()
    }

    /// Has the calling fiber unparked when the next connection leaves.
    pub(super) fn await_leave(&self) {
        self.acceptors.borrow_mut().push(sched::current());
    }
}
