//! The open connections of a shard, and the fibers that wait until one opens or closes.
//!
//! A connection has a fiber as soon as it is in the table. While the table is borrowed, no code
//! runs that could use the table again: fibers are woken, not resumed, and the caller drops the
//! removed entry.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slotmap::SlotMap;
use straightline_sched::{self as sched, Fiber};

use super::entry::{ConnectionKey, Entry};
use super::evict::Evictable;
use super::idle_reaper::Sweeps;
use crate::wire::{IdleEnd, OpenConnection};

/// The connections of a shard.
#[derive(Default)]
pub(super) struct Connections {
    open: RefCell<SlotMap<ConnectionKey, Entry>>,
    /// The connections that may be closed if there is no room for a new one.
    evictable: Evictable,
    /// The idle reaper's fiber, while it waits for the first connection.
    idle_reaper: RefCell<Option<Fiber>>,
    /// Acceptors that wait until a connection closes.
    acceptors: RefCell<Vec<Fiber>>,
    /// How many connections were removed.
    removals: Cell<u64>,
}

impl Connections {
    /// Inserts a connection. `make` gets its key, and must not use the table. Returns the other
    /// value that `make` has returned.
    pub(super) fn insert<T>(&self, make: impl FnOnce(ConnectionKey) -> (Entry, T)) -> T {
        if let Some(idle_reaper) = self.idle_reaper.take() {
            idle_reaper.unpark();
        }
        let mut returned = None;
        self.open.borrow_mut().insert_with_key(|key| {
            let (entry, value) = make(key);
            returned = Some(value);
            entry
        });
        returned.expect("the table calls it")
    }

    /// Removes a closed connection. `None` if it was removed before.
    pub(super) fn remove(&self, key: ConnectionKey) -> Option<Entry> {
        let left = self.open.borrow_mut().remove(key)?;
        self.removals.set(self.removals.get() + 1);
        self.acceptors.borrow_mut().drain(..).for_each(|acceptor| acceptor.unpark());
        Some(left)
    }

    pub(super) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Calls `look` with all connections; it must not use the table.
    pub(super) fn for_each(&self, look: impl FnMut(&Entry)) {
        self.open.borrow().values().for_each(look);
    }

    /// The connection of the fiber of that number.
    pub(super) fn of_fiber(&self, number: u64) -> Option<(ConnectionKey, Rc<OpenConnection>)> {
        let open = self.open.borrow();
        let found = open.iter().find(|(_, entry)| entry.fiber().number() == number);
        found.map(|(key, entry)| (key, Rc::clone(entry.connection())))
    }

    /// Whether [`evict`](Self::evict) would close a connection. `sweep` is the number of the next
    /// sweep.
    pub(super) fn has_evictable(&self, sweep: u32) -> bool {
        self.evictable.first(&self.open.borrow(), sweep).is_some()
    }

    /// Closes an idle connection; false if no connection has been idle for long enough.
    pub(super) fn evict(&self, sweep: u32) -> bool {
        let open = self.open.borrow();
        let first = self.evictable.first(&open, sweep).and_then(|key| open.get(key));
        first.inspect(|entry| entry.end_idle(IdleEnd::Evicted)).is_some()
    }

    /// Closes every connection that has been idle for too long by the sweep of that number.
    pub(super) fn expire(&self, sweep: u32, sweeps: Sweeps) {
        self.for_each(|entry| {
            let connection = entry.connection();
            let Some(since) = connection.idle_since() else { return };
            let most = if connection.is_new() { sweeps.new } else { sweeps.idle };
            if sweep.saturating_sub(since) >= most {
                entry.end_idle(IdleEnd::Expired);
            }
        });
    }

    /// Waits until there is a connection.
    pub(super) fn wait_for_any(&self) {
        while self.is_empty() {
            self.idle_reaper.replace(Some(sched::current()));
            sched::park();
        }
    }

    /// How many connections were removed so far.
    pub(super) fn removals(&self) -> u64 {
        self.removals.get()
    }

    /// The next removal of a connection unparks the calling fiber.
    pub(super) fn await_removal(&self) {
        self.acceptors.borrow_mut().push(sched::current());
    }
}
