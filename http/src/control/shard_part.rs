//! A server's part of the calling fiber's shard: how a server's handle reaches what only the shard
//! itself may touch.
//!
//! A handle may be used on any thread, and several servers may have shards, also on one thread. So
//! each shard has a list of the parts of its servers, in a shard-local. The part belongs to the
//! shard's state; the list does not keep it.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak as RcWeak};
use std::sync::{Arc, Weak};

use straightline_net::Transport;
use straightline_sched::shard_local;

use super::background::Background;
use super::connection_end::ConnectionEnd;
use super::shared::Shared;
use crate::config::Peer;

shard_local! {
    /// The parts of this shard, one for each server.
    static HERE: RefCell<Vec<RcWeak<ShardPart>>> = RefCell::default();
}

/// Serves a stream, and returns when its connection is over.
pub(crate) type ServeStream = dyn Fn(Box<dyn Transport>, Peer) -> ConnectionEnd;

/// A server's part of a shard.
pub(crate) struct ShardPart {
    server: Weak<Shared>,
    pub(crate) background: Rc<Background>,
    serve: Box<ServeStream>,
}

impl ShardPart {
    /// For the calling fiber's shard.
    pub(crate) fn new(
        server: &Arc<Shared>,
        background: &Rc<Background>,
        serve: Box<ServeStream>,
    ) -> Rc<Self> {
        let (server, background) = (Arc::downgrade(server), Rc::clone(background));
        let new = Rc::new(Self { server, background, serve });
        // An error only on a fiber that unwinds, which does not start to serve.
        if let Ok(here) = HERE.get() {
            let mut here = here.borrow_mut();
            here.retain(|other| other.strong_count() > 0);
            here.push(Rc::downgrade(&new));
        }
        new
    }

    /// That server's part of the calling fiber's shard. Panics outside of a fiber.
    pub(crate) fn here(server: &Arc<Shared>) -> Option<Rc<Self>> {
        let here = HERE.get().ok()?;
        let parts: Vec<_> = here.borrow().iter().filter_map(RcWeak::upgrade).collect();
        parts.into_iter().find(|part| Weak::as_ptr(&part.server) == Arc::as_ptr(server))
    }

    pub(crate) fn serve(&self, stream: Box<dyn Transport>, peer: Peer) -> ConnectionEnd {
        (self.serve)(stream, peer)
    }
}

impl fmt::Debug for ShardPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardPart").field("background", &self.background).finish_non_exhaustive()
    }
}
