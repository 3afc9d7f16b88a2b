//! The monitor's look at a shard: what it may ask of it, and what it tells.

use std::sync::Arc;

use super::mailbox::Message;
use super::report::Report;
use super::shard::Shard;
use crate::fiber::tell_running;
use crate::watch::{Found, Limits, Running, watch};

/// Has the monitor look at this shard, which reports what passes one of the limits.
pub(super) fn monitor(shard: &Shard, limits: Limits) {
    // The mailbox is the shard's: its descriptor is to be closed with it.
    let (reporter, mailbox) = (shard.reporter.clone(), Arc::downgrade(shard.inbox.mailbox()));
    let housekeep = move || {
        if let Some(mailbox) = mailbox.upgrade() {
            // A shard that has ended has nothing to keep.
            let _ = mailbox.send(Message::Housekeep);
        }
    };
    let report = move |found| {
        reporter.report(&match found {
            Found::Stalled(stall) => Report::Stalled(stall),
            Found::Stuck(stall) => Report::Stuck(stall),
            Found::Busy(time) => Report::Busy(time),
            Found::Free => Report::Free,
        });
    };
    watch(Arc::downgrade(&shard.pulse), limits, describe_running, housekeep, report);
}

/// For the watch's signal handler.
fn describe_running(tell: &mut dyn FnMut(Running<'_>)) {
    tell_running(|fiber| {
        let birth = &fiber.birth;
        let (spawned_at, name) = (birth.spawned_at, fiber.name());
        // The fiber may be about to change it.
        let label = fiber.label.try_borrow();
        match label.as_deref() {
            Ok(Some(label)) => label.tell(|label| tell(Running { spawned_at, name, label })),
            _ => tell(Running { spawned_at, name, label: b"" }),
        }
    });
}
