//! Another shard, for what is of one shard and not `Send`.
//!
//! In a simulation all shards are on one thread. So a `JoinHandle`, a `Source` or a `Lease` can
//! come to a shard that it does not belong to, through a thread-local for instance, which its owner
//! meant to be one shard's. And on any thread one run follows the other. Each of these values
//! therefore knows the number of its shard, and what it does to that goes through here: at once on
//! the shard itself, as a message to another one of the simulation, and nowhere if the shard has
//! ended. A shard that is no simulation's is on its thread alone while it lasts, so it never is
//! another one: outside of simulations all this is the comparison of two numbers.

use std::sync::{Arc, LazyLock};

use super::local;
use super::mailbox::{Mailbox, Message};
use super::mailboxes::of_simulation;
use super::shard::Shard;

/// The mailbox of a shard of the thread; one that is closed if the shard has ended.
pub(super) fn mailbox(shard_id: u64) -> Arc<Mailbox> {
    static CLOSED: LazyLock<Arc<Mailbox>> = LazyLock::new(Mailbox::closed);
    let own =
        local::try_with(|shard| (shard.id == shard_id).then(|| Arc::clone(shard.inbox.mailbox())));
    own.flatten().or_else(|| of_simulation(shard_id)).unwrap_or_else(|| Arc::clone(&CLOSED))
}

/// Whether another shard of that number is there: one of the simulation that the caller is in.
pub(super) fn is_there(shard_id: u64) -> bool {
    of_simulation(shard_id).is_some()
}

/// Calls `here` if the caller is on that shard; otherwise sends it `message`, which says the same.
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
        // One that is closed by now has nothing left that this could be about.
        let _ = mailbox.send(message());
    }
}
