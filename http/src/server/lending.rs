//! If a shard's thread does not return to its scheduler in time, another shard accepts from its
//! listeners.
//!
//! The kernel puts a client into the queue of one shard at its handshake, and the client waits
//! there. But the queue belongs to the socket, and any shard with a descriptor of the socket may
//! accept from it; the kernel gives each client to one of them. So the listeners of a shard are
//! *lent* as soon as the shard is busy (`ServerBuilder::busy_limit`): to the healthy shard with the
//! fewest connections, or to a spare shard, which is started if no shard is healthy.
//!
//! The busy shard keeps its own descriptors and accepts from them again when its thread returns.
//! Clients that another shard accepted stay there. So a loan is harmless if a thread merely had no
//! processor for a while. A loan ends only when the shard has been healthy for a while: a handler
//! that computes again and again does not start a new loan each time.
//!
//! `settle` compares the loans with the state of the shards. It may be called whenever that state
//! has changed.

use std::sync::Arc;

use crate::config::Phase;
use crate::control::{OpenLoans, Shared, Slot};
use crate::telemetry::Event;

/// Lends the listeners of shards that need help, and ends the loans of shards that need none any
/// more. If no shard is healthy, `start_spare` starts one more.
pub(super) fn settle(shared: &Shared, start_spare: &dyn Fn() -> Option<Arc<Slot>>) {
    if shared.phase() > Phase::Unready {
        return; // each shard empties its own queues, and then accepts no further client
    }
    let mut loans = shared.loans.lock();
    let mut steps: Vec<_> = loans.end_unneeded().into_iter().map(|owner| (owner, None)).collect();
    for owner in shared.shards.all().into_iter().filter(|slot| slot.needs_help()) {
        if let Some(helper) = lend(shared, &mut loans, &owner, start_spare) {
            steps.push((owner, Some(helper)));
        }
    }
    drop(loans);
    // Not under the lock: hooks are the program's code.
    for (owner, helper) in steps {
        shared.observers.emit(&match helper {
            Some(helper) => Event::ListenersLent { shard: owner.index, helper: helper.index },
            None => Event::ListenersReturned { shard: owner.index },
        });
    }
}

/// Lends the listeners of `owner`, unless a healthy shard has them already. Returns the shard that
/// gets them.
fn lend(
    shared: &Shared,
    loans: &mut OpenLoans<'_>,
    owner: &Arc<Slot>,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<Arc<Slot>> {
    if loans.is_helped(owner) {
        return None;
    }
    // A spare shard has no listeners. And if no descriptors are left, the helper could not accept
    // either.
    let listeners = owner.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let helper = helper(shared).or_else(start_spare)?;
    loans.lend(owner, &helper, listeners);
    Some(helper)
}

/// The healthy shard with the fewest connections. A spare shard only if no other shard is healthy,
/// so that spare shards become idle.
pub(super) fn helper(shared: &Shared) -> Option<Arc<Slot>> {
    let healthy = shared.shards.all().into_iter().filter(|slot| slot.can_help());
    healthy.min_by_key(|slot| (slot.is_spare(), slot.connections()))
}

/// Retires a spare shard without work, unless listeners were lent to it meanwhile.
pub(super) fn retire_spare(shared: &Shared, slot: &Slot) -> bool {
    let loans = shared.loans.lock();
    let is_idle = !loans.is_helper(slot) && slot.is_spare();
    if is_idle {
        shared.shards.retire(slot);
    }
    is_idle
}
