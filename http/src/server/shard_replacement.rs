//! If a shard is stuck, another one takes its listeners for good, and its clients are disconnected.
//!
//! A handler that computes for ever, or blocks its thread, cannot be interrupted, but the server
//! can go on without that shard. Long before this, the shard's listeners are lent to another shard,
//! and that ends when the thread comes back (`lending`). A takeover costs the stuck shard's clients
//! their connections: they see the end of them, and can try again. An idle spare shard becomes the
//! replacement, or a new shard is started. If the handler ever yields, it is cancelled, and its
//! shard ends.
//!
//! If every shard is stuck and there may be no further one, the server serves no client any more.
//! The usual reason is a lock of the standard library (a `LazyLock`, a `OnceLock`) whose holder
//! waits on a fiber: each fiber that asks for the lock next blocks its thread, on one shard after
//! the other. No other thread can undo that, so the server ends with an error, or the process ends
//! at once.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::stderr;

use super::lending::{helper, settle};
use crate::config::{AllStuck, Phase};
use crate::control::{Shared, Slot};
use crate::telemetry::Event;

/// Goes on without a stuck shard. Returns true if no shard is left that could serve.
pub(super) fn go_on(
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
    // Only now, so that a client that connects again at once finds the replacement.
    let disconnected = slot.streams.shut_down();
    if replacement.is_some() {
        slot.retire();
        slot.close_copies();
        shared.peers.forget(slot.index);
        shared.shards.update_crowded();
        shared.record_replacement();
    }
    slot.wake(); // it looks at its slot when its thread is free
    (replacement, disconnected)
}

/// The number of the shard that has the listeners from now on; none if there may not be more
/// shards, or none can be started.
fn replacement(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<usize> {
    // While this is locked, no spare shard retires or is lent listeners.
    let _loans = shared.loans.lock();
    if slot.is_spare() {
        // It has no listeners of its own, and what was lent to it is lent to another shard.
        return helper(shared).map(|helper| helper.index);
    }
    let listeners = slot.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let spare = shared.shards.all().into_iter().find(|slot| slot.is_spare() && slot.can_help());
    let heir = spare.or_else(start_spare)?;
    heir.give(listeners, shared.config.keeps_copies()).ok()?;
    Some(heir.index)
}

/// Ends a server that can serve no client any more: calls `end_server`, or ends the process.
pub(super) fn give_up(shared: &Shared, end_server: impl FnOnce()) {
    let event = Event::AllStuck { shards: shared.shards.stuck() };
    shared.observers.emit(&event);
    match shared.config.all_stuck {
        AllStuck::EndServer => end_server(),
        AllStuck::AbortProcess => {
            // A logger may write on a thread of its own, which gets no time any more.
            stderr().put_through(format!("straightline: aborting: {event}\n"), LAST_WORDS_TIME);
            process::abort();
        }
    }
}

/// How long the last line before an abort may take to be written. Arbitrary: it may stand behind
/// backtraces.
const LAST_WORDS_TIME: Duration = Duration::from_millis(500);
