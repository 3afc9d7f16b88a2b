//! The shard that a value belongs to, for a value that may be on any thread.

use std::panic::Location;
use std::sync::Arc;

use super::local;
use super::mailbox::{Closed, Mailbox, Sent};

/// A shard, by its number, and the way to it.
///
/// Numbers of shards are unique in the process, and a shard stays on the thread that made it. So
/// code for which [`is_here`](Self::is_here) is true runs on the thread on which [`Home::here`] was
/// called.
#[derive(Clone)]
pub(crate) struct Home {
    shard_id: u64,
    mailbox: Arc<Mailbox>,
}

impl Home {
    /// The shard of the calling thread.
    pub(crate) fn here() -> Option<Self> {
        local::try_with(|shard| Self {
            shard_id: shard.id,
            mailbox: Arc::clone(shard.inbox.mailbox()),
        })
    }

    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        local::try_with(|shard| shard.id == self.shard_id) == Some(true)
    }

    pub(crate) fn shard_id(&self) -> u64 {
        self.shard_id
    }

    /// Sends a closure to the shard, which runs it as a fiber. A shard that ends drops it instead,
    /// on its thread; one that has ended does not take it, and the closure is dropped here.
    ///
    /// These closures have no limit: the caller sends one for each value of the shard, at most.
    #[track_caller]
    pub(crate) fn send(&self, body: Box<dyn FnOnce() + Send>) -> Result<(), Closed> {
        self.mailbox.send_home(Sent { body, spawned_at: Location::caller() })
    }
}
