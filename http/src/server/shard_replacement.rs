//! If a shard is stuck, another shard takes its listeners for good, and its clients are
//! disconnected.
//!
//! A handler that computes for ever, or blocks its thread, cannot be interrupted, but the server
//! can go on without that shard. Long before this, the shard's listeners are lent to another shard,
//! and such a loan ends when the thread returns (`lending`). A replacement costs the clients of the
//! stuck shard their connections: they see their connections close, and can try again. An idle
//! spare shard becomes the replacement, or a new shard is started. If the handler ever yields, it
//! is cancelled, and its shard ends.
//!
//! A shard whose handler has panicked is replaced in the same way if the program wants that
//! (`PanicPolicy::DrainShard`), but it keeps its connections until its drain is over.
//!
//! If every shard is stuck and no further shard may be started, the server serves no client any
//! more. The usual reason is a lock of the standard library (a `LazyLock`, a `OnceLock`) whose
//! holder waits on a fiber: each fiber that asks for the lock next blocks its thread, on one shard
//! after the other. No other thread can undo that, so the server ends with an error, or the process
//! is aborted.

use std::sync::Arc;

use super::lending::{helper, settle};
use crate::config::{AllStuck, Phase};
use crate::control::{Shared, Slot};
use crate::telemetry::{Event, abort};

/// Replaces a stuck shard. Returns true if no shard is left that could serve.
pub(super) fn replace_stuck(
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> bool {
    let (replacement, disconnected) = replace(shared, slot, start_spare);
    let event = Event::ShardStuck { shard: slot.index, replacement, disconnected };
    shared.observers.emit(&event);
    settle(shared, start_spare);
    let serves = shared.phase() <= Phase::Unready;
    serves && replacement.is_none() && shared.shards.are_all_stuck()
}

/// Returns the number of the shard's replacement, and how many clients were disconnected.
fn replace(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> (Option<usize>, usize) {
    slot.record_stuck();
    let serves = shared.phase() <= Phase::Unready;
    let replacement = if serves { replacement(shared, slot, start_spare) } else { None };
    // Only now, so that a client that reconnects at once finds the replacement.
    let disconnected = slot.streams.shut_down();
    if replacement.is_some() {
        shared.shards.retire(slot);
        slot.close_copies();
        shared.peers.forget(slot.index);
        shared.record_replacement();
    }
    slot.wake(); // it looks at its slot when its thread returns
    (replacement, disconnected)
}

/// The number of the shard that has the listeners from now on; `None` if no further shard is
/// allowed or can be started.
fn replacement(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<usize> {
    // While the loans are locked, no spare shard retires or gets listeners lent.
    let _loans = shared.loans.lock();
    if slot.is_spare() {
        // The stuck shard may be a spare one: then it has no listeners of its own, and the
        // listeners that were lent to it are lent to another shard.
        return helper(shared).map(|helper| helper.index);
    }
    let listeners = slot.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let spare = shared.shards.all().into_iter().find(|slot| slot.is_spare() && slot.can_help());
    let replacement = spare.or_else(start_spare)?;
    replacement.give(listeners, shared.config.keeps_copies()).ok()?;
    Some(replacement.index)
}

/// Hands the listeners of a shard whose handler has panicked to another shard, and returns the
/// number of that shard. The old shard has to end with its connections then.
pub(super) fn renew(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<usize> {
    if shared.phase() > Phase::Unready {
        return None;
    }
    let replacement = renewed(shared, slot, start_spare)?;
    slot.leave();
    shared.renewals.record();
    shared.observers.emit(&Event::ShardRenewed { shard: slot.index, replacement });
    settle(shared, start_spare); // listeners that were lent to it are lent to another shard
    Some(replacement)
}

/// The number of the shard that serves in the place of a healthy shard; `None` if no further shard
/// is allowed or can be started.
fn renewed(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<usize> {
    // As in `replacement`.
    let _loans = shared.loans.lock();
    let others = shared.shards.all().into_iter();
    let mut others = others.filter(|other| other.index != slot.index && other.can_help());
    if slot.is_spare() {
        return others.next().or_else(start_spare).map(|other| other.index);
    }
    let listeners = slot.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let replacement = others.find(|other| other.is_spare()).or_else(start_spare)?;
    replacement.give(listeners, shared.config.keeps_copies()).ok()?;
    Some(replacement.index)
}

/// Ends a server that can serve no client any more: calls `end_server`, or aborts the process.
pub(super) fn end_or_abort(shared: &Shared, end_server: impl FnOnce()) {
    let event = Event::AllStuck { shards: shared.shards.stuck() };
    shared.observers.emit(&event);
    match shared.config.all_stuck {
        AllStuck::EndServer => end_server(),
        AllStuck::AbortProcess => abort(&event),
    }
}
