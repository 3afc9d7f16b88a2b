//! Access to another shard, for values that belong to one shard and are not `Send`.
//!
//! In a simulation all shards are on one thread. So a `JoinHandle`, a `Source` or a `Lease` can
//! reach a shard that it does not belong to, through a thread-local for instance, which its owner
//! meant for one shard. And on any thread one run may follow another. So each of these values knows
//! the number of its shard, and its operations go through here: they act at once on the shard
//! itself, send a message to another shard of the simulation, and do nothing if the shard has
//! ended. A shard outside of a simulation is alone on its thread while it lasts, so there all this
//! is a comparison of two numbers.

use std::sync::{Arc, LazyLock};

use super::local;
use super::mailbox::{Mailbox, Message};
use super::mailboxes::of_simulation;
use super::shard::Shard;

/// The mailbox of a shard of this thread; a closed one if the shard has ended.
pub(super) fn mailbox(shard_id: u64) -> Arc<Mailbox> {
    static CLOSED: LazyLock<Arc<Mailbox>> = LazyLock::new(Mailbox::closed);
    let own =
        local::try_with(|shard| (shard.id == shard_id).then(|| Arc::clone(shard.inbox.mailbox())));
    own.flatten().or_else(|| of_simulation(shard_id)).unwrap_or_else(|| Arc::clone(&CLOSED))
}

/// Whether another shard with that number exists in the simulation that the caller is in.
pub(super) fn is_there(shard_id: u64) -> bool {
    of_simulation(shard_id).is_some()
}

/// Calls `here` if the caller is on that shard; otherwise sends it `message`, which does the same.
pub(super) fn at(shard_id: u64, here: impl FnOnce(&Shard), message: impl FnOnce() -> Message) {
    let mut here = Some(here);
    local::try_with(|shard| {
        if shard.id == shard_id
            && let Some(here) = here.take()
        {
            here(shard);
        }
    });
    if here.is_some()
        && let Some(mailbox) = of_simulation(shard_id)
    {
        // A mailbox that is closed by now belongs to a shard without fibers.
        let _ = mailbox.send(message());
    }
}
