//! Alarms: when a fiber has to be woken that nothing else wakes.
//!
//! Each fiber stands in the queue at most once, with its *alarm*: the earlier of the end of its
//! timed wait and its deadline. The alarm is lazy. Taking a deadline away, or setting a later one,
//! leaves it where it is: when it goes off too early it is set anew. So a request that sets and
//! clears a deadline, as nearly all do, costs a comparison and not a change of the queue; the queue
//! changes once per deadline's length and connection.

use std::rc::Rc;

use super::shard::Shard;
use crate::fiber::{FiberCell, Tick};

/// Has the fiber's alarm go off at `at` or before.
#[inline]
pub(super) fn set_alarm(shard: &Shard, fiber: &FiberCell, at: Tick) {
    // Asked here, because nearly always there is nothing to do.
    if at < fiber.bounds.alarm() {
        move_alarm(shard, fiber, at);
    }
}

/// Takes the fiber out of the queue.
pub(super) fn clear_alarm(shard: &Shard, fiber: &FiberCell) {
    if let Some(count) = shard.alarms.clear(fiber) {
        shard.counters.alarms_now.set(count as u64);
    }
}

/// Whether somebody's time has come.
#[inline]
pub(super) fn is_alarm_due(shard: &Shard, now: Tick) -> bool {
    shard.alarms.next_at().is_some_and(|at| at <= now)
}

/// Wakes everybody whose time has come, in the order of their times.
pub(super) fn ring_alarms(shard: &Shard) {
    let now = shard.clock.turn();
    while let Some((alarm, key)) = shard.alarms.pop_due(now) {
        shard.counters.alarms_now.set(shard.alarms.len() as u64);
        let Some(fiber) = shard.fibers.get(key) else { continue };
        let (is_due, next) = fiber.bounds.ring(alarm);
        if is_due {
            shard.wake(Rc::clone(&fiber));
        }
        // Its turn among the others comes again, perhaps in this very loop.
        if let Some(next) = next {
            set_alarm(shard, &fiber, next);
        }
    }
}

#[inline(never)]
fn move_alarm(shard: &Shard, fiber: &FiberCell, at: Tick) {
    let count = shard.alarms.set(fiber, at);
    shard.counters.alarms_now.set(count as u64);
}
