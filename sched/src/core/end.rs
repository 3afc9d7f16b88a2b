//! The end of a shard.
//!
//! `run` returns when its root fiber has ended. All other fibers are cancelled then, and run until
//! they have unwound or are abandoned. The table of fibers owns all of them, and is empty before
//! the shard is dropped. No suspended coroutine is ever dropped: corosensei would unwind it by
//! force, and would spin for ever on a coroutine that catches the unwind in a loop.

use std::mem;
use std::panic::Location;
use std::time::Duration;

use super::abandon::{abandon, finish_cold, forget_body, leave_wait_queue};
use super::children::is_in_uncancellable_scope;
use super::contain::{contain, discard};
use super::deadline::uncancellable;
use super::local;
use super::mailboxes;
use super::messages::handle_message;
use super::remains;
use super::shard::Shard;
use super::spawn::{FiberBuilder, spawn_on, spawn_sent};
use super::timer::fire_timers;
use super::turn::{poll_driver, run_ready};
use super::wake::cancel;
use crate::fiber::{Abandoned, Body, Tick};

/// Ends every fiber that is left: each is cancelled, and has [`END_GRACE`] to leave an
/// `uncancellable` section.
pub(super) fn end(shard: &Shard) {
    let abandon_at = begin_end(shard);
    loop {
        run_ready(shard);
        if end_if_over(shard, abandon_at) {
            return;
        }
        poll_driver(shard, Some(abandon_at));
    }
}

/// The shard itself has panicked, most likely because it cannot wait for events any more. A fiber
/// needs no events to unwind. So each fiber is cancelled, and fibers run while any can. Fibers that
/// wait for what others hold get an error. The rest is left as it is when the shard is dropped.
pub(super) fn end_broken(shard: &Shard) {
    contain(|| {
        let abandon_at = begin_end(shard);
        let run = || {
            while !shard.queue.is_empty() && shard.clock() < abandon_at {
                run_ready(shard);
                shard.clock.set_turn(shard.clock());
                fire_timers(shard);
            }
        };
        run();
        if shard.fibers.is_empty() && drop_values(shard) {
            run();
        }
    });
}

/// Cancels every fiber; returns the time at which the fibers that are left are abandoned.
pub(crate) fn begin_end(shard: &Shard) -> Tick {
    for message in shard.inbox.begin_end() {
        handle_message(shard, message);
    }
    // A closure that never began is dropped on a fiber, where its destructors may wait.
    for sent in shard.inbox.take_deferred() {
        if shard.stacks.reserve().is_err() {
            discard(sent);
        } else if spawn_sent(shard, sent).is_ok() {
            run_ready(shard);
        }
    }
    for fiber in shard.fibers.list() {
        if !is_in_uncancellable_scope(&fiber) {
            cancel(shard, &fiber);
        }
    }
    shard.clock().saturating_add(END_GRACE)
}

/// Whether no fiber is left, and no shard-local. After `abandon_at` none is.
pub(crate) fn end_if_over(shard: &Shard, abandon_at: Tick) -> bool {
    if !shard.fibers.is_empty() {
        if shard.clock() < abandon_at {
            return false;
        }
        abandon_all(shard);
    }
    if drop_values(shard) {
        return false;
    }
    shard.inbox.close();
    debug_assert!(shard.queue.is_stale());
    debug_assert_eq!(shard.timers.len(), 0, "an timer outlived its fiber");
    true
}

fn abandon_all(shard: &Shard) {
    for fiber in shard.fibers.list() {
        forget_body(shard, fiber.body.replace(Body::OVER));
        let is_masked = fiber.bounds.is_masked();
        let why = if is_masked { Abandoned::Uncancellable } else { Abandoned::WithChild };
        abandon(shard, &fiber, why);
    }
}

/// Starts a fiber that drops the values, if there are any; returns whether there were. Called at
/// the end of the shard, when all fibers are over.
fn drop_values(shard: &Shard) -> bool {
    if !shard.values.is_due() || shard.stacks.reserve().is_err() {
        return false;
    }
    let values = shard.values.take();
    let drop_all = move || {
        uncancellable(|| {
            for value in values.into_iter().rev() {
                // A panic of one destructor does not keep the others from running.
                discard(value);
            }
        });
    };
    // It begins although no other fiber may begin any more.
    let name = FiberBuilder::new().name("shard-locals");
    let spawned = shard.inbox.except(|| spawn_on(shard, name, Location::caller(), None, drop_all));
    debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
    true
}

impl Drop for Shard {
    /// Fibers are left only if the shard itself panicked. Their frames may borrow from each other,
    /// so they are not unwound in an arbitrary order, but left as they are; a fiber or thread that
    /// waits for their ends gets an error. Sent fibers are dropped, and no more can be sent.
    fn drop(&mut self) {
        mailboxes::leave(self.id, &self.driver);
        self.inbox.close();
        self.inbox.take_deferred().into_iter().for_each(discard);
        self.stacks.end_workers();
        for fiber in self.fibers.take() {
            let _entered = (!local::is_on_a_shard()).then(|| local::enter(self));
            leave_wait_queue(&fiber);
            match fiber.body.try_borrow_mut() {
                Ok(mut body) => forget_body(self, mem::replace(&mut *body, Body::OVER)),
                Err(_) => self.abandoned.record_remains(),
            }
            fiber.life.abandon();
            fiber.cold().into_iter().for_each(|cold| finish_cold(self, cold));
            mem::forget(fiber);
        }
        if self.abandoned.has_remains() {
            remains::keep_thread();
        }
    }
}

/// How long the end of a shard waits for `uncancellable` sections. Arbitrary: longer than a commit,
/// shorter than the time after which a service manager kills the process.
const END_GRACE: Duration = Duration::from_secs(10);
