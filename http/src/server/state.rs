//! A shard's side of its connections: what lets them in, what serves them, and which are open.
//!
//! Every open connection is in the table, and holds a [`Registered`]: when all else of it is over
//! that goes, and the connection leaves the table. One whose fiber was given up never comes to
//! that, and is taken out by [`ShardState::lose`].

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use straightline_sched::{self as sched, Fiber, FiberInfo};

use super::connections::Connections;
use super::entry::{ConnectionKey, Entry};
use super::reject::Rejections;
use crate::conn::Service;
use crate::control::{Shared, Slot};
use crate::telemetry::Event;
use crate::wire::{Host, Link};

/// A shard, on its own thread.
pub(super) struct ShardState {
    pub(super) service: Rc<Service>,
    /// What the connections have in common.
    pub(super) host: Rc<Host>,
    pub(super) shared: Arc<Shared>,
    pub(super) slot: Arc<Slot>,
    pub(super) connections: Connections,
    pub(super) rejections: Rejections,
    /// Woken when the last connection leaves a draining shard.
    root: Fiber,
}

/// A connection's place among those that a drain waits for, until this is dropped.
pub(super) struct Registered {
    state: Rc<ShardState>,
    key: ConnectionKey,
}

impl ShardState {
    /// The calling fiber is the shard's root.
    pub(super) fn new(shared: &Arc<Shared>, slot: &Arc<Slot>, service: Rc<Service>) -> Self {
        Self {
            service,
            host: Host::new(shared, slot),
            shared: Arc::clone(shared),
            slot: Arc::clone(slot),
            connections: Connections::default(),
            rejections: Rejections::new(shared.config.capacity.rejection()),
            root: sched::current(),
        }
    }

    /// Enters a connection. `spawn` makes its fiber, which is to hold what it is given.
    pub(super) fn enter(self: &Rc<Self>, link: &Rc<Link>, spawn: impl FnOnce(Registered) -> Fiber) {
        self.shared.shards.update_crowded();
        self.connections.enter(|key| {
            let fiber = spawn(Registered { state: Rc::clone(self), key });
            Entry::new(Rc::clone(link), fiber)
        });
    }

    /// Ends the connection of a fiber that was given up, if it had one: all of that is the fiber's,
    /// which does nothing any more.
    pub(super) fn lose(&self, fiber: &FiberInfo) {
        let Some((key, link)) = self.connections.of_fiber(fiber) else { return };
        link.lose();
        self.slot.counters.aborted.bump();
        self.slot.counters.closed.bump();
        self.leave(key);
        let error = io::Error::other("the connection's fiber was given up");
        self.host.emit(&Event::ConnectionFailed { peer: &link.peer, error: &error });
        self.host.emit(&Event::ConnectionClosed { peer: &link.peer });
    }

    /// The connection is over, unless it has left already.
    fn leave(&self, key: ConnectionKey) {
        self.shared.shards.update_crowded();
        // Dropped when all else is done.
        let Some(left) = self.connections.leave(key) else { return };
        if self.host.capacity.connections_per_peer != usize::MAX {
            self.shared.peers.leave(&left.link().peer, self.slot.index);
        }
        if self.connections.is_empty() && self.host.is_draining() {
            self.root.unpark();
        }
    }

    /// Whether it is that slot's shard.
    pub(super) fn is_of(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.state.leave(self.key);
    }
}

impl fmt::Debug for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardState")
            .field("connections", &self.connections.len())
            .field("draining", &self.host.is_draining())
            .finish_non_exhaustive()
    }
}
