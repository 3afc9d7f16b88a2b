//! The tripwire's look at a fiber that has just given the thread back.

use std::rc::Rc;

use super::fiber_info::FiberInfo;
use super::inspect::{backtrace, depth, info_of};
use super::shard::Shard;
use super::tripwire::{Place, ThreadBoundWait, find};
use crate::fiber::FiberCell;

/// Looks where a fiber waits that has just run, if the tripwire is set; returns what is to be
/// told of it.
#[cold]
pub(crate) fn look_at_wait(shard: &Shard, fiber: &Rc<FiberCell>) -> Option<ThreadBoundWait> {
    let tripwire = shard.tripwire.as_ref()?;
    let place = Place::new(fiber.birth.spawned_at, depth(fiber)?, fiber.wait.get());
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
