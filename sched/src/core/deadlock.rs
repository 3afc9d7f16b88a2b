//! Fibers that wait for each other in a circle.
//!
//! Two kinds of waits depend on one fiber: a join depends on its target, and a lock on the fiber
//! that took it. Where such a wait begins, the scheduler follows the chain of waits from that
//! fiber; if the chain comes back to the caller, the circle is closed. What follows depends on what
//! is certain:
//!
//! - **Joins alone, outside of scopes and without a deadline**: the join that waits has consumed
//!   its handle, so no other fiber can cancel any of them, and only the end of the shard opens the
//!   circle. The caller panics with the names of all.
//! - **Everything else**: another fiber may cancel one of them, a deadline may pass, and a guard
//!   may have moved to a fiber that is about to drop it, which cannot be seen. So the shard only
//!   looks again, twice, at its maintenance. A circle that still exists is reported, once. Before
//!   and after that the listing tells which fiber waits for which.
//!
//! Circles over several shards are not found, nor circles through channels, into which any fiber
//! may send.
//!
//! Other deadlocks are found late: a shard that has been quiet for a while checks whether all of
//! its fibers wait for something that only another fiber or thread can do. If the process has no
//! other thread, nothing will wake them.

use std::fmt::Write;
use std::rc::Rc;

use super::circles::Circle;
use super::fiber_info::Label;
use super::inspect::{info_of, list_fibers};
use super::local;
use super::report::Report;
use super::shard::Shard;
use super::source_state::SourceState;
use crate::fiber::{FiberCell, FiberKey, Wait};
use crate::watchdog;

/// Whether the caller may close a circle if it waits for a lock that this fiber, of that shard, has
/// taken: then [`record_circle`] is worth a call.
pub(crate) fn may_close_circle((shard_id, key): (u64, FiberKey)) -> bool {
    local::try_with(|shard| {
        if shard.id != shard_id {
            return false;
        }
        let waits = shard.fibers.look(key, |holder| match holder.waiting.wait() {
            // A queued fiber has just been granted what it waited for, as a lock's next holder.
            Wait::End(_) => !holder.queued.get(),
            Wait::Queue(queue_wait) => queue_wait.is_for_a_lock() && !holder.queued.get(),
            _ => false,
        });
        waits.is_some_and(|waits| waits || shard.try_current().is_some_and(|me| me.key == key))
    })
    .unwrap_or(false)
}

/// Records a circle, if the calling fiber closes one by waiting for a lock that `holder` took.
///
/// Must not be called under a short lock: a fiber in the chain may wait for the same lock.
pub(crate) fn record_circle((shard_id, holder): (u64, FiberKey)) {
    local::try_with(|shard| {
        let Some(me) = shard.try_current().filter(|_| shard.id == shard_id) else { return };
        if circle(shard, &me, holder).is_some() {
            record_closed(shard, &me);
        }
    });
}

/// The message of the panic, if it is certain that the end of `target` never comes for `me`.
pub(super) fn endless_join(shard: &Shard, me: &FiberCell, target: FiberKey) -> Option<String> {
    let circle = circle(shard, me, target)?;
    if !circle.iter().all(|fiber| is_bound(me, fiber)) || me.unwinds() {
        record_closed(shard, me);
        return None;
    }
    let mut text = format!("straightline: deadlock: {} would wait for ever", Label(me));
    for fiber in circle {
        let which = if fiber.key == me.key { "" } else { ", which waits" };
        // Writing to a string cannot fail.
        let _ = write!(text, "; in JoinHandle::join for {}{which}", Label(&fiber));
    }
    Some(text)
}

/// Reports the circles that last. Called at the shard's maintenance, between two fibers.
pub(super) fn report_circles(shard: &Shard) {
    for (key, state) in shard.circles.take() {
        let fiber = shard.fibers.get(key);
        let Some(fiber) = fiber else { continue };
        let state = match next_in_chain(shard, &fiber).and_then(|key| circle(shard, &fiber, key)) {
            Some(_) if state == Circle::Closed => Circle::Seen,
            Some(circle) => {
                if state == Circle::Seen {
                    let circle = circle.iter().map(|fiber| info_of(shard, fiber));
                    shard.report(&Report::Circle(circle.collect()));
                }
                Circle::Reported
            }
            // Wakes a fiber, which looks again at its condition, and may go on waiting.
            None if fiber.queued.get() => state,
            None => continue,
        };
        shard.circles.keep(key, state);
    }
}

/// Reports a shard whose fibers all wait for each other. The monitor asks for it when the shard has
/// been quiet for a while.
pub(super) fn report_if_stuck(shard: &Shard) {
    let waits_inside = |fiber: &Rc<FiberCell>| {
        let wait = fiber.waiting.wait();
        matches!(wait, Wait::End(_) | Wait::Queue(_) | Wait::Children | Wait::Call(_))
    };
    if shard.queue.is_empty()
        && shard.timers.len() == 0
        // At the end of a shard there is none.
        && !shard.fibers.is_empty()
        && shard.fibers.all(waits_inside)
        // A select, a connect or a task waits for a descriptor under another name.
        && !shard.sources.borrow().values().any(SourceState::is_waited_for)
        && watchdog::is_only_thread()
        // The monitor asks twice; no fiber has run since the report.
        && shard.circles.record_stuck(shard.pulse.beats())
    {
        shard.report(&Report::Deadlock(list_fibers(shard)));
    }
}

fn record_closed(shard: &Shard, me: &FiberCell) {
    shard.circles.record_closed(me.key);
}

/// The fibers from `first` to `me`, each of which waits for the next, if `me` waits for `first` or
/// is about to; `None` if the chain does not come back to `me`.
fn circle(shard: &Shard, me: &FiberCell, first: FiberKey) -> Option<Vec<Rc<FiberCell>>> {
    let (mut circle, mut key) = (Vec::new(), first);
    // The chain may end in another circle, without `me`.
    while circle.len() < CHAIN_MAX {
        let fiber = shard.fibers.get(key)?;
        let is_me = fiber.key == me.key;
        if !is_me {
            if fiber.queued.get() {
                return None;
            }
            key = next_in_chain(shard, &fiber)?;
        }
        circle.push(fiber);
        if is_me {
            return Some(circle);
        }
    }
    None
}

/// Whether a fiber of a circle that `me` closes by a join only joins, and nothing can end that: no
/// fiber has its handle, and it has no scope and no deadline.
fn is_bound(me: &FiberCell, fiber: &FiberCell) -> bool {
    let joins = fiber.key == me.key || matches!(fiber.waiting.wait(), Wait::End(_));
    joins && fiber.scope_state().is_none() && fiber.bounds.is_endless()
}

/// The one fiber that this fiber's wait depends on; `None` if there is no such fiber on this shard.
fn next_in_chain(shard: &Shard, fiber: &FiberCell) -> Option<FiberKey> {
    match fiber.waiting.wait() {
        Wait::End(target) => Some(target),
        Wait::Queue(queue_wait) => {
            let (shard_id, holder) = queue_wait.holder()?;
            (shard_id == shard.id).then_some(holder)
        }
        _ => None,
    }
}

/// Arbitrary: a message would not help with a chain of more locks.
const CHAIN_MAX: usize = 1_000;
