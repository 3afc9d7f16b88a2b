//! Which connections of a shard are open, and who waits for them to come or go.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use slotmap::{SlotMap, new_key_type};
use straightline_sched::{self as sched, Fiber, FiberInfo};

use super::evict::Evictable;
use super::sweep::Sweeps;
use crate::conn::Service;
use crate::control::{Shared, Slot};
use crate::telemetry::Event;
use crate::wire::{Host, Link, RestEnd};

new_key_type! { pub(super) struct ConnectionKey; }

/// A shard's side of its connections: which of them are open, and who waits for them to come or go.
pub(crate) struct ShardState {
    pub(super) service: Rc<Service>,
    /// What the connections have in common.
    pub(super) host: Rc<Host>,
    pub(super) shared: Arc<Shared>,
    pub(super) slot: Arc<Slot>,
    /// Who is turned away is told so in these words.
    pub(super) refusal: Vec<u8>,
    /// How many of them are still told.
    pub(super) refusing: Cell<usize>,
    /// Every open connection.
    pub(super) connections: RefCell<SlotMap<ConnectionKey, Entry>>,
    /// Those that may go if there is no room for another.
    pub(super) evictable: Evictable,
    /// To be woken by the next connection, or by the next that leaves.
    sweeper: RefCell<Option<Fiber>>,
    waiting_acceptors: RefCell<Vec<Fiber>>,
    /// How many connections have left.
    leaves: Cell<u64>,
    /// Woken when the last connection leaves a draining shard.
    root: Fiber,
}

/// An open connection.
pub(super) struct Entry {
    pub(super) link: Rc<Link>,
    /// Its fiber, once it has one.
    pub(super) fiber: Option<Fiber>,
}

/// A connection's place among those that a drain waits for, until this is dropped.
pub(super) struct Registered {
    state: Rc<ShardState>,
    key: ConnectionKey,
}

impl ShardState {
    pub(super) fn new(shared: &Arc<Shared>, slot: &Arc<Slot>, service: Rc<Service>) -> Self {
        Self {
            service,
            host: Host::new(shared, slot),
            shared: Arc::clone(shared),
            slot: Arc::clone(slot),
            refusal: shared.config.capacity.refusal(),
            refusing: Cell::new(0),
            connections: RefCell::default(),
            evictable: Evictable::default(),
            sweeper: RefCell::new(None),
            waiting_acceptors: RefCell::default(),
            leaves: Cell::new(0),
            root: sched::current(),
        }
    }

    /// Waits until there are any.
    pub(super) fn wait_for_connections(&self) {
        while self.connections.borrow().is_empty() {
            self.sweeper.replace(Some(sched::current()));
            sched::park();
        }
    }

    /// Wakes every connection that has rested for too long, to its end.
    pub(super) fn expire(&self, sweeps: Sweeps) {
        let now = self.host.begin_sweep();
        let connections = self.connections.borrow();
        for Entry { link, fiber } in connections.values() {
            let Some(since) = link.rests_since() else { continue };
            let most = if link.is_new() { sweeps.new } else { sweeps.idle };
            if now.saturating_sub(since) >= most {
                link.end_rest(RestEnd::Expired);
                fiber.iter().for_each(Fiber::unpark);
            }
        }
    }

    /// Enters a connection, whose fiber comes later.
    pub(super) fn register(self: &Rc<Self>, link: &Rc<Link>) -> Registered {
        self.shared.note_crowd();
        let entry = Entry { link: Rc::clone(link), fiber: None };
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.unpark();
        }
        let key = self.connections.borrow_mut().insert(entry);
        Registered { state: Rc::clone(self), key }
    }

    pub(super) fn set_fiber(&self, key: ConnectionKeyOf, fiber: Fiber) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(key.0) {
            entry.fiber = Some(fiber);
        }
    }

    /// Ends the connection of a fiber that was given up, if it had one: all of that is the fiber's,
    /// which does nothing any more.
    pub(super) fn lose(&self, fiber: &FiberInfo) {
        let connections = self.connections.borrow();
        let is_its = |entry: &Entry| entry.fiber.as_ref().is_some_and(|of| of.number() == fiber.id);
        let lost = connections.iter().find(|(_, entry)| is_its(entry));
        let Some((key, link)) = lost.map(|(key, entry)| (key, Rc::clone(&entry.link))) else {
            return;
        };
        drop(connections);
        link.lose();
        self.slot.counters.aborted.bump();
        self.slot.counters.closed.bump();
        self.leave(key);
        let error = io::Error::other("the connection's fiber was given up");
        self.host.tell(&Event::ConnectionFailed { peer: &link.peer, error: &error });
        self.host.tell(&Event::ConnectionClosed { peer: &link.peer });
    }

    /// The connection is over.
    fn leave(&self, key: ConnectionKey) {
        self.shared.note_crowd();
        // Dropped when the table is not borrowed any more.
        let left = self.connections.borrow_mut().remove(key);
        let Some(Entry { link, .. }) = &left else { return };
        if self.host.capacity.connections_per_peer != usize::MAX {
            self.shared.peers.leave(&link.peer, self.slot.index);
        }
        self.leaves.set(self.leaves.get() + 1);
        self.waiting_acceptors.borrow_mut().drain(..).for_each(|acceptor| acceptor.unpark());
        if self.connections.borrow().is_empty() && self.host.is_draining() {
            self.root.unpark();
        }
    }

    /// Whether it is that slot's shard.
    pub(super) fn is_of(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }

    pub(super) fn leaves(&self) -> u64 {
        self.leaves.get()
    }

    /// Has the calling fiber unparked when the next connection leaves.
    pub(super) fn await_leave(&self) {
        self.waiting_acceptors.borrow_mut().push(sched::current());
    }
}

/// Names a registered connection without being its registration.
#[derive(Clone, Copy)]
pub(super) struct ConnectionKeyOf(ConnectionKey);

impl Registered {
    pub(super) fn key(&self) -> ConnectionKeyOf {
        ConnectionKeyOf(self.key)
    }
}

impl Drop for Registered {
    /// The connection is over, unless it was [lost](ShardState::lose).
    fn drop(&mut self) {
        self.state.leave(self.key);
    }
}

impl fmt::Debug for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardState")
            .field("connections", &self.connections.borrow().len())
            .field("draining", &self.host.is_draining())
            .finish_non_exhaustive()
    }
}
