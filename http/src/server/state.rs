//! A shard's side of its connections: what they share, what serves them, and which are open.
//!
//! Every open connection is in the table, and holds a [`Registered`]: it is dropped after
//! everything else of the connection, and then the connection leaves the table. A fiber
//! that was abandoned never drops it, so [`ShardState::lose`] removes its connection.

use std::fmt;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use straightline_net::Transport;
use straightline_sched::{Fiber, JoinHandle, ShardTime};

use super::connections::Connections;
use super::entry::{ConnectionKey, Entry};
use super::reject::Rejections;
use crate::config::Peer;
use crate::conn::Service;
use crate::control::{Background, ConnectionEnd, ShardPart, Shared, Slot};
use crate::telemetry::Event;
use crate::wire::{Host, LinkPool, OpenConnection};

/// A shard, on its own thread.
pub(super) struct ShardState {
    pub(super) service: Rc<Service>,
    /// What the connections share.
    pub(super) host: Rc<Host>,
    pub(super) links: Rc<LinkPool>,
    pub(super) shared: Arc<Shared>,
    pub(super) slot: Arc<Slot>,
    pub(super) connections: Connections,
    pub(super) background: Rc<Background>,
    pub(super) rejections: Rejections,
    /// By which the server's handle reaches this shard.
    _part: Rc<ShardPart>,
    /// Woken when the last connection leaves a draining shard.
    root: Fiber,
}

/// A connection's place in the table, which a drain waits for, until this is dropped.
pub(super) struct Registered {
    state: Rc<ShardState>,
    key: ConnectionKey,
}

impl ShardState {
    /// On the shard's own thread. `root` is the fiber that accepts and drains, and `serve` serves a
    /// stream that the program gives.
    pub(super) fn new(
        shared: &Arc<Shared>,
        slot: &Arc<Slot>,
        service: Rc<Service>,
        root: Fiber,
        serve: fn(&Rc<Self>, Box<dyn Transport>, Peer) -> ConnectionEnd,
    ) -> Rc<Self> {
        let background = Background::new(slot, &shared.observers);
        let new = |state: &Weak<Self>| {
            let state = Weak::clone(state);
            let serve = move |stream, peer| match state.upgrade() {
                Some(state) => serve(&state, stream, peer),
                None => ConnectionEnd::Unserved,
            };
            ShardPart::new(shared, &background, Box::new(serve))
        };
        let host = Host::new(shared, slot, ShardTime::of_turn());
        Rc::new_cyclic(|state| Self {
            service,
            links: LinkPool::new(&host),
            host,
            shared: Arc::clone(shared),
            slot: Arc::clone(slot),
            connections: Connections::default(),
            _part: new(state),
            background: Rc::clone(&background),
            rejections: Rejections::new(shared.config.rejection.clone()),
            root,
        })
    }

    /// Inserts a connection. `spawn` makes its fiber, which has to hold the `Registered`.
    pub(super) fn insert(
        self: &Rc<Self>,
        connection: &Rc<OpenConnection>,
        spawn: impl FnOnce(Registered) -> JoinHandle<()>,
    ) -> JoinHandle<()> {
        self.shared.shards.record_opened(&self.slot);
        self.connections.insert(|key| {
            let handle = spawn(Registered { state: Rc::clone(self), key });
            (Entry::new(Rc::clone(connection), handle.fiber()), handle)
        })
    }

    /// The fiber of that number was abandoned: closes its connection, if it had one. That fiber
    /// does nothing any more, so it does not close the connection itself.
    pub(super) fn lose(&self, fiber: u64) {
        self.background.lose(fiber);
        let Some((key, connection)) = self.connections.of_fiber(fiber) else { return };
        connection.link().into_iter().for_each(|link| link.lose());
        self.slot.counters.aborted.bump();
        self.slot.counters.closed.bump();
        self.remove(key);
        let error = io::Error::other("the connection's fiber was abandoned");
        self.host.emit(&Event::ConnectionFailed { peer: connection.peer(), error: &error });
        self.host.emit(&Event::ConnectionClosed { peer: connection.peer() });
    }

    /// The connection has closed: removes it, unless it was removed before.
    fn remove(&self, key: ConnectionKey) {
        // Dropped at the end of this function.
        let Some(removed) = self.connections.remove(key) else { return };
        self.shared.shards.record_closed(&self.slot);
        if self.host.capacity.connections_per_peer != usize::MAX {
            let counted = removed.connection().counted_peer();
            counted.into_iter().for_each(|peer| self.shared.peers.leave(peer, self.slot.index));
        }
        if self.connections.is_empty() && self.host.is_draining() {
            self.root.unpark();
        }
    }

    /// Whether this is the shard of that slot.
    pub(super) fn is_of(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.state.remove(self.key);
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
