//! The end of a whole shard.
//!
//! **The end.** `run` returns when its root fiber has. Whatever else is alive is cancelled then,
//! and run until it has unwound, or is given up: the table of fibers is the one owner of them
//! all, and it is empty before the shard is dropped. No suspended coroutine is ever dropped:
//! corosensei would unwind it by force, and spin for ever on one that catches the unwind in a
//! loop.

use std::mem;
use std::panic::Location;
use std::time::Duration;

use super::alarm::ring_alarms;
use super::contain::{contain, discard};
use super::deadline::uncancellable;
use super::family::is_sheltered;
use super::give_up::{finish_rare, forget_body, give_up, leave_line};
use super::local;
use super::mail::read_message;
use super::mailboxes;
use super::remains;
use super::shard::Shard;
use super::spawn::{Builder, spawn_on, spawn_sent};
use super::turn::{look_outside, run_ready};
use super::wake::cancel;
use crate::fiber::{Body, GivenUp, Tick};

/// Ends every fiber that is left: each is cancelled, and has the time of [`END_GRACE`] to leave
/// an `uncancellable` section.
pub(super) fn end(shard: &Shard) {
    let give_up_at = begin_end(shard);
    loop {
        run_ready(shard);
        if end_if_over(shard, give_up_at) {
            return;
        }
        look_outside(shard, Some(give_up_at));
    }
}

/// The shard itself has panicked: most likely it cannot wait for events any more. To unwind, a
/// fiber needs none. So each is cancelled and runs while any can, and who waits for what they
/// hold hears of it. The others are left as they are when the shard is dropped.
pub(super) fn end_broken(shard: &Shard) {
    contain(|| {
        let give_up_at = begin_end(shard);
        let run = || {
            while !shard.queue.is_empty() && shard.clock() < give_up_at {
                run_ready(shard);
                shard.clock.set_turn(shard.clock());
                ring_alarms(shard);
            }
        };
        run();
        if shard.fibers.is_empty() && drop_values(shard) {
            run();
        }
    });
}

/// Cancels every fiber; returns when those that are left then are to be given up.
pub(crate) fn begin_end(shard: &Shard) -> Tick {
    for message in shard.inbox.begin_end() {
        read_message(shard, message);
    }
    // What never began is dropped on a fiber, where its destructors may do what they like.
    for sent in shard.inbox.take_deferred() {
        if shard.stacks.reserve().is_err() {
            discard(sent);
        } else if spawn_sent(shard, sent).is_ok() {
            run_ready(shard);
        }
    }
    for fiber in shard.fibers.list() {
        if !is_sheltered(&fiber) {
            cancel(shard, &fiber);
        }
    }
    shard.clock().saturating_add(END_GRACE)
}

/// Returns whether no fiber is left, and no shard-local. After `give_up_at` there is none.
pub(crate) fn end_if_over(shard: &Shard, give_up_at: Tick) -> bool {
    if !shard.fibers.is_empty() {
        if shard.clock() < give_up_at {
            return false;
        }
        give_up_all(shard);
    }
    if drop_values(shard) {
        return false;
    }
    shard.inbox.close();
    debug_assert!(shard.queue.is_stale());
    debug_assert_eq!(shard.alarms.len(), 0, "an alarm outlived its fiber");
    true
}

fn give_up_all(shard: &Shard) {
    for fiber in shard.fibers.list() {
        forget_body(shard, fiber.body.replace(Body::OVER));
        let is_masked = fiber.bounds.is_masked();
        let why = if is_masked { GivenUp::Uncancellable } else { GivenUp::WithChild };
        give_up(shard, &fiber, why);
    }
}

/// Has a fiber drop the values, if there are any; returns whether there were. Called at the end
/// of the shard, when all fibers are over.
fn drop_values(shard: &Shard) -> bool {
    if !shard.values.is_due() || shard.stacks.reserve().is_err() {
        return false;
    }
    let values = shard.values.take();
    let drop_all = move || {
        uncancellable(|| {
            for value in values.into_iter().rev() {
                // One destructor's panic is not the others'.
                discard(value);
            }
        });
    };
    // It begins although nothing else does any more.
    let name = Builder::new().name("shard-locals");
    let spawned = shard.inbox.except(|| spawn_on(shard, name, Location::caller(), None, drop_all));
    debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
    true
}

impl Drop for Shard {
    /// Only if the shard itself panicked is there anything left. The fibers' frames may borrow from
    /// each other, so they are not unwound in whatever order, but left as they are; who waits for
    /// their ends hears of it. What was sent is dropped, and nothing can be sent any more.
    fn drop(&mut self) {
        mailboxes::leave(self.id, &self.driver);
        self.inbox.close();
        self.inbox.take_deferred().into_iter().for_each(discard);
        for fiber in self.fibers.take() {
            let _entered = (!local::is_on_a_shard()).then(|| local::enter(self));
            leave_line(&fiber);
            match fiber.body.try_borrow_mut() {
                Ok(mut body) => forget_body(self, mem::replace(&mut *body, Body::OVER)),
                Err(_) => self.abandoned.note_remains(),
            }
            fiber.given_up.set(true);
            fiber.over.set(true);
            fiber.rare().into_iter().for_each(|rare| finish_rare(self, rare));
            mem::forget(fiber);
        }
        if self.abandoned.has_remains() {
            remains::keep_thread();
        }
    }
}

/// How long the end of a shard waits for `uncancellable` sections. Arbitrary: longer than a commit,
/// shorter than what a service manager waits before it kills.
const END_GRACE: Duration = Duration::from_secs(10);
