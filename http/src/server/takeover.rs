//! When a shard is stuck: another one has its listeners from then on, and its clients are let go.
//!
//! A handler that computes for ever, or blocks its thread, cannot be interrupted. But the server
//! can go on without it. That others accept from its listeners is done long before, and comes to an
//! end when it does (`lending`). This is what costs the stuck shard's clients their connections:
//! they see the end of them instead of nothing at all. A spare shard that is there becomes its
//! replacement, or a fresh one is started. If the handler ever yields, it is cancelled, and its
//! shard ends.
//!
//! When every shard is stuck and there may be no further one, nobody is left to serve anybody. The
//! usual reason is a lock of the standard library (a `LazyLock`, a `OnceLock`) whose holder waits
//! on a fiber: whoever asks for it next blocks its thread, on one shard after the other. No thread
//! can undo that, so the server ends with an error, or the process at once.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::stderr;

use super::lending::{helper, settle};
use crate::config::{AllStuck, Phase};
use crate::control::{Shared, Slot};
use crate::telemetry::Event;

/// Goes on without a shard that is stuck; true if nobody is left who could serve.
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

/// Returns the number of the shard's replacement, and how many clients were let go.
fn replace(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> (Option<usize>, usize) {
    slot.note_stuck();
    let serves = shared.phase() <= Phase::Unready;
    let replacement = if serves { replacement(shared, slot, start_spare) } else { None };
    // Only now: whoever comes again at once finds the new one.
    let disconnected = slot.streams.shut_down();
    if replacement.is_some() {
        slot.retire();
        slot.close_copies();
        shared.peers.forget(slot.index);
        shared.shards.note_crowd();
        shared.note_replacement();
    }
    slot.wake(); // it gets to know when its thread is free
    (replacement, disconnected)
}

/// The number of the shard that has its listeners from now on; none if there may not be more, or it
/// cannot be started.
fn replacement(
    shared: &Shared,
    slot: &Slot,
    start_spare: &dyn Fn() -> Option<Arc<Slot>>,
) -> Option<usize> {
    // So that no spare one retires, or is lent something, meanwhile.
    let _loans = shared.loans.lock();
    if slot.is_spare() {
        // It has no listeners, and what was lent to it is lent to another one.
        return helper(shared).map(|helper| helper.index);
    }
    let listeners = slot.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let spare = shared.shards.all().into_iter().find(|slot| slot.is_spare() && slot.can_help());
    let heir = spare.or_else(start_spare)?;
    heir.give(listeners, shared.config.keeps_copies()).ok()?;
    Some(heir.index)
}

/// Does what the server is to do when nobody is left who could serve: calls `end_server`, or ends
/// the process.
pub(super) fn give_up(shared: &Shared, end_server: impl FnOnce()) {
    let event = Event::AllStuck { shards: shared.shards.stuck() };
    shared.observers.emit(&event);
    match shared.config.all_stuck {
        AllStuck::EndServer => end_server(),
        AllStuck::AbortProcess => {
            // A logger may write on a thread of its own, which has no time left.
            stderr().put_through(format!("straightline: aborting: {event}\n"), LAST_WORDS_TIME);
            process::abort();
        }
    }
}

/// How long the last words before an abort may take to leave. Arbitrary: they may stand behind
/// backtraces.
const LAST_WORDS_TIME: Duration = Duration::from_millis(500);
