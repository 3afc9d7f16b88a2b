//! The tripwire's look at a fiber that has just given the thread back.

use std::rc::Rc;

use super::fiber_info::FiberInfo;
use super::inspect::{backtrace, depth, info_of};
use super::shard::Shard;
use super::tripwire::{Place, ThreadBoundWait, find};
use crate::fiber::FiberCell;

/// Checks where a fiber that has just run waits, if the tripwire is set; returns the report, if
/// there is one.
#[cold]
pub(crate) fn look_at_wait(shard: &Shard, fiber: &Rc<FiberCell>) -> Option<ThreadBoundWait> {
    let tripwire = shard.tripwire.as_ref()?;
    let place = Place::new(fiber.spawn_info.spawned_at, depth(fiber)?, fiber.waiting.wait());
    if !tripwire.is_worth_a_look(place) {
        return None;
    }
    let backtrace = backtrace(fiber)?;
    let (inside, calls) = find(&backtrace)?;
    if !tripwire.is_news(calls) {
        return None;
    }
    shard.counters.thread_bound_waits.add(1);
    let fiber = FiberInfo { backtrace: Some(backtrace), ..info_of(shard, fiber) };
    Some(ThreadBoundWait { fiber, inside })
}
