//! The connection between a shard and the monitor: what the monitor asks of it, and what it
//! reports.

use std::sync::Arc;

use super::mailbox::Message;
use super::report::Report;
use super::shard::Shard;
use crate::fiber::{peek, with_running};
use crate::watchdog::{Found, Limits, Running, watch};

/// Registers this shard with the monitor, which reports when one of the limits is passed.
pub(super) fn monitor(shard: &Shard, limits: Limits) {
    // The monitor holds the mailbox weakly: the mailbox's descriptor is closed with the shard.
    let (reporter, mailbox) = (shard.reporter.clone(), Arc::downgrade(shard.inbox.mailbox()));
    let maintain = move || {
        if let Some(mailbox) = mailbox.upgrade() {
            // A shard that has ended needs no maintenance.
            let _ = mailbox.send(Message::Maintain);
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
    watch(Arc::downgrade(&shard.pulse), limits, describe_running, maintain, report);
}

/// Called by the watchdog's signal handler.
fn describe_running(report: &mut dyn FnMut(Running<'_>)) {
    with_running(|fiber| {
        let spawn_info = &fiber.spawn_info;
        let (spawned_at, name) = (spawn_info.spawned_at, fiber.name());
        peek(&fiber.label, |label| match label {
            Some(label) => label.read(|label| report(Running { spawned_at, name, label })),
            None => report(Running { spawned_at, name, label: b"" }),
        });
    });
}
