//! The timer of each fiber, which wakes it when nothing else does.
//!
//! Each fiber stands in the queue at most once, with its *timer*: the earlier of the end of its
//! timed wait and its deadline. The timer is lazy. It is set when the fiber suspends, so work that
//! never waits needs none. When a deadline is removed, or replaced by a later one, the timer stays
//! where it is; if it fires too early it is set again. So a request that sets and clears a
//! deadline, as nearly all do, costs a comparison at each wait, and no change of the queue. The
//! queue changes about once per timeout and connection that waits.

use std::rc::Rc;

use super::shard::Shard;
use crate::fiber::{FiberCell, Tick};

/// Sets the fiber's timer to fire at `at` or earlier.
#[inline]
pub(super) fn set_timer(shard: &Shard, fiber: &FiberCell, at: Tick) {
    // Checked here, inline, because nearly always there is nothing to do.
    if at < fiber.bounds.timer() {
        move_timer(shard, fiber, at);
    }
}

/// Removes the fiber from the queue.
pub(super) fn clear_timer(shard: &Shard, fiber: &FiberCell) {
    if let Some(count) = shard.timers.clear(fiber) {
        shard.counters.timers.set(count as u64);
    }
}

/// Whether a timer is due.
#[inline]
pub(super) fn is_timer_due(shard: &Shard, now: Tick) -> bool {
    shard.timers.next_at() <= now
}

/// Wakes every fiber whose timer is due, in the order of their times.
pub(super) fn fire_timers(shard: &Shard) {
    let now = shard.clock.turn();
    while let Some((timer, key)) = shard.timers.pop_due(now) {
        shard.counters.timers.set(shard.timers.len() as u64);
        let Some(fiber) = shard.fibers.get(key) else { continue };
        let (is_due, next) = fiber.bounds.fire(timer);
        if is_due {
            shard.wake(Rc::clone(&fiber));
        }
        // Set it again; if it is due already, this very loop fires it.
        if let Some(next) = next {
            set_timer(shard, &fiber, next);
        }
    }
}

#[inline(never)]
fn move_timer(shard: &Shard, fiber: &FiberCell, at: Tick) {
    let count = shard.timers.set(fiber, at);
    shard.counters.timers.set(count as u64);
}
