//! When a shard's thread does not come back in time: another one accepts from its listeners.
//!
//! A client belongs to the queue of one shard from its handshake on, so it waits for that one. But
//! the queue is the socket's, and any shard that has a descriptor of the socket may accept from it:
//! each client is accepted once, by whichever shard is quicker. So listeners are *lent* as soon as
//! a shard is busy (`Builder::busy_limit`), to the healthy shard with the fewest connections, and
//! to a spare one that is started if none is healthy. The busy shard keeps its own descriptors and
//! goes on with them when it comes back; who was accepted elsewhere stays there. So a loan is
//! harmless when nothing was wrong but that the machine had no time for a thread, and it ends only
//! when the shard has been well for a while: a handler that computes again and again changes
//! nothing each time.
//!
//! `settle` is all of it: it compares the loans with the state of the shards, and may be called
//! whenever that has changed.

use std::sync::Arc;

use crate::config::Phase;
use crate::control::{OpenLoans, Shared, Slot};
use crate::telemetry::Event;

/// Lends what is to be lent, and takes back what is not. If no shard is well, `start_spare` starts
/// one more.
pub(super) fn settle(shared: &Shared, start_spare: &dyn Fn() -> Option<Arc<Slot>>) {
    if shared.phase() > Phase::Unready {
        return; // each empties the queues that it has, and accepts nobody after that
    }
    let mut loans = shared.loans.lock();
    let mut steps: Vec<_> = loans.take_back().into_iter().map(|owner| (owner, None)).collect();
    for owner in shared.shards.all().into_iter().filter(|slot| slot.needs_help()) {
        if let Some(helper) = lend(shared, &mut loans, &owner, start_spare) {
            steps.push((owner, Some(helper)));
        }
    }
    drop(loans);
    // Not under the lock: these are the hooks of somebody else.
    for (owner, helper) in steps {
        shared.observers.emit(&match helper {
            Some(helper) => Event::ListenersLent { shard: owner.index, helper: helper.index },
            None => Event::ListenersReturned { shard: owner.index },
        });
    }
}

/// Lends the listeners of `owner`, unless a shard that is well has them already. Returns the one
/// that gets them.
fn lend(
    shared: &Shared,
    loans: &mut OpenLoans<'_>,
    owner: &Arc<Slot>,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<Arc<Slot>> {
    if loans.is_helped(owner) {
        return None;
    }
    // A spare shard has none. And with no descriptors left nobody could accept either.
    let listeners = owner.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let helper = helper(shared).or_else(start_spare)?;
    loans.lend(owner, &helper, listeners);
    Some(helper)
}

/// The shard that has the least to do of those that are well; spare ones are to become idle.
pub(super) fn helper(shared: &Shared) -> Option<Arc<Slot>> {
    let healthy = shared.shards.all().into_iter().filter(|slot| slot.can_help());
    healthy.min_by_key(|slot| (slot.is_spare(), slot.connections()))
}

/// Retires a spare shard that has nothing to do, unless something was lent to it meanwhile.
pub(super) fn retire_spare(shared: &Shared, slot: &Slot) -> bool {
    let loans = shared.loans.lock();
    let is_idle = !loans.is_helper(slot) && slot.is_spare();
    if is_idle {
        slot.retire();
    }
    is_idle
}
