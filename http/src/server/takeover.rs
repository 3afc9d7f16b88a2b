//! When a shard is stuck: a fresh one takes its listeners over, and its clients are let go.
//!
//! A handler that computes for ever, or blocks its thread, cannot be interrupted. But the server
//! can go on without it: whoever connects comes to the fresh shard, which has the very same
//! sockets, so that those who wait in their queues are served as well. The stuck shard's clients
//! see the end of their connections instead of nothing at all. If the handler ever yields, it is
//! cancelled, and its shard ends.
//!
//! All this runs on the thread that watches the shards. What is told of a fiber that was given up
//! is told on its own shard's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use straightline_sched::{Report, Reporter};

use super::accept::Listener;
use super::events::Event;
use super::shard;
use super::shared::{Phase, Shared, Slot};

/// Who hears of a shard's fibers that misbehave.
pub(super) fn reporter(shared: &Arc<Shared>, slot: &Arc<Slot>) -> Reporter {
    let (shared, slot) = (Arc::downgrade(shared), Arc::clone(slot));
    Reporter::new(move |report| {
        // The server may be gone by the time that its last fiber is.
        let Some(shared) = shared.upgrade() else { return };
        shared.config.tell(&Event::FiberReported { report });
        match report {
            Report::GivenUp(fiber, _) => {
                shared.given_up.fetch_add(1, Ordering::Relaxed);
                shard::note_given_up(&slot, fiber);
            }
            Report::Stuck(_) => replace(&shared, &slot),
            _ => {}
        }
    })
}

/// Goes on without a shard.
fn replace(shared: &Arc<Shared>, slot: &Arc<Slot>) {
    slot.is_stuck.store(true, Ordering::SeqCst);
    let replacement =
        if shared.phase() == Phase::Serving { start_another(shared, slot) } else { None };
    // Only now: whoever comes again at once finds the new one.
    let disconnected = slot.streams.shut_down();
    if replacement.is_some() {
        slot.is_retired.store(true, Ordering::SeqCst);
        shared.peers.forget(slot.index);
        shared.note_crowd();
    }
    slot.wake(); // it gets to know when its thread is free
    let event = Event::ShardStuck { shard: slot.index, replacement, disconnected };
    shared.config.tell(&event);
}

/// The number of the fresh shard; none if there may not be more, or it cannot be started.
fn start_another(shared: &Arc<Shared>, slot: &Slot) -> Option<usize> {
    if shared.stuck() > shared.config.replacements {
        return None;
    }
    let spare = slot.spare.lock();
    let clones: io::Result<Vec<Listener>> = spare.iter().map(Listener::try_clone).collect();
    drop(spare);
    let newcomers = shared.newcomers.lock().clone()?;
    let started = clones.and_then(|listeners| {
        if listeners.is_empty() {
            return Err(io::Error::other("the server ends"));
        }
        let fresh = shared.add_slot();
        let index = fresh.index;
        let handle = shard::start(shared, fresh, listeners)?;
        // The server's own thread waits for it at the end; if that is over, nobody does.
        let _ = newcomers.try_send(handle);
        Ok(index)
    });
    // Without a thread or a descriptor to be had there is none.
    started.ok()
}
