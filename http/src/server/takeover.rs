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
//!
//! All this runs on the thread that watches the shards, but for what takes time there: to tell
//! where a thread stands. What is told of a fiber that was given up is told on its own shard's.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use straightline_sched::{Report, Reporter, stderr};

use super::lending::{helper, settle, start_spare};
use super::running::News;
use super::shard;
use super::shared::Shared;
use super::slot::Slot;
use crate::config::{AllStuck, Phase};
use crate::telemetry::Event;

/// Who hears of a shard's fibers that misbehave.
pub(super) fn reporter(shared: &Arc<Shared>, slot: &Arc<Slot>) -> Reporter {
    let (shared, slot) = (Arc::downgrade(shared), Arc::clone(slot));
    Reporter::new(move |report| {
        // The server may be gone by the time that its last fiber is.
        let Some(shared) = shared.upgrade() else { return };
        if let Report::Busy(_) | Report::Free = report {
            // One that still makes its handler is no busier than the next one would be.
            let is_busy = matches!(report, Report::Busy(_)) && slot.scheduler().is_some();
            slot.is_busy.store(is_busy, Ordering::SeqCst);
            return settle(&shared);
        }
        match report {
            Report::Stalled(stall) => {
                tell_aside(&shared, Report::Stalled(stall.clone()), || ());
            }
            Report::Stuck(stall) => {
                let (replacement, disconnected) = replace(&shared, &slot);
                let event = Event::ShardStuck { shard: slot.index, replacement, disconnected };
                shared.observers.emit(&event);
                settle(&shared);
                let serves = shared.phase() <= Phase::Unready;
                let is_over = serves && replacement.is_none() && shared.are_all_stuck();
                let here = Arc::clone(&shared);
                tell_aside(&shared, Report::Stuck(stall.clone()), move || {
                    if is_over {
                        give_up(&here);
                    }
                });
            }
            Report::GivenUp(fiber, _) => {
                shared.given_up.fetch_add(1, Ordering::Relaxed);
                shared.observers.emit(&Event::FiberReported { report });
                shard::note_given_up(&slot, fiber);
            }
            _ => shared.observers.emit(&Event::FiberReported { report }),
        }
    })
}

/// Tells where a thread stands, and does what comes `then`, on a thread of its own: to find the
/// names of the calls takes a second where symbols are many, and the watch has to look meanwhile
/// whether other shards come back.
fn tell_aside(shared: &Arc<Shared>, report: Report, then: impl Fn() + Send + Sync + 'static) {
    let shared = Arc::clone(shared);
    let tell = Arc::new(move || {
        shared.observers.emit(&Event::FiberReported { report: &report });
        then();
    });
    let aside = Arc::clone(&tell);
    let spawned = thread::Builder::new().name("straightline-report".into()).spawn(move || aside());
    if spawned.is_err() {
        tell(); // rather late than not at all
    }
}

/// Goes on without a shard. Returns the number of its replacement, and how many clients were let
/// go.
fn replace(shared: &Arc<Shared>, slot: &Arc<Slot>) -> (Option<usize>, usize) {
    slot.is_stuck.store(true, Ordering::SeqCst);
    let serves = shared.phase() <= Phase::Unready;
    let replacement = if serves { replacement(shared, slot) } else { None };
    // Only now: whoever comes again at once finds the new one.
    let disconnected = slot.streams.shut_down();
    if replacement.is_some() {
        slot.is_retired.store(true, Ordering::SeqCst);
        slot.close_copies();
        shared.peers.forget(slot.index);
        shared.note_crowd();
        shared.replacements.fetch_add(1, Ordering::Relaxed);
    }
    slot.wake(); // it gets to know when its thread is free
    (replacement, disconnected)
}

/// The number of the shard that has its listeners from now on; none if there may not be more, or it
/// cannot be started.
fn replacement(shared: &Arc<Shared>, slot: &Slot) -> Option<usize> {
    // So that no spare one retires, or is lent something, meanwhile.
    let _loans = shared.loans.lock();
    if slot.is_spare.load(Ordering::SeqCst) {
        // It has no listeners, and what was lent to it is lent to another one.
        return helper(shared).map(|helper| helper.index);
    }
    let listeners = slot.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let spare = shared
        .slots()
        .into_iter()
        .find(|slot| slot.is_spare.load(Ordering::SeqCst) && slot.can_help());
    let heir = spare.or_else(|| start_spare(shared))?;
    heir.give(listeners, shared.config.keeps_copies()).ok()?;
    Some(heir.index)
}

/// Nobody is left who could serve.
fn give_up(shared: &Shared) {
    let event = Event::AllStuck { shards: shared.stuck() };
    shared.observers.emit(&event);
    match shared.config.all_stuck {
        AllStuck::EndServer => {
            if let Some(news) = &*shared.news.lock() {
                // It waits for it, or is over.
                let _ = news.try_send(News::AllStuck);
            }
        }
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
