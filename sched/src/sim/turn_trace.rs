//! The words of the trace for the actions of a simulated shard.
//!
//! The actions of a fiber in its turn are seen from outside: the run queue grew by the fibers that
//! it woke, and its record says what it waits for. So the scheduler's own paths do not mention the
//! trace.

use std::rc::Rc;

use super::shard::SimShard;
use crate::core::{describe, label, resume};
use crate::driver::World;
use crate::fiber::FiberCell;

/// As [`resume`], in words.
pub(super) fn resume_traced(shard: &SimShard, world: &World, fiber: &Rc<FiberCell>) {
    let woken_before = shard.shard.queue.len();
    world.set_actor(label_of(shard, fiber));
    resume(&shard.shard, Rc::clone(fiber));
    record_woken(shard, world, woken_before);
    let is_resting = fiber.body.borrow().is_resting();
    if fiber.life.is_over() {
        world.note(|| "ends".to_owned());
    } else if is_resting {
        world.note(|| "rests".to_owned());
    } else {
        world.note(|| format!("waits: {}", describe(&shard.shard, fiber.waiting.wait())));
    }
    world.set_actor(String::new());
}

/// Names the fibers that came into the run queue since it had that length.
pub(super) fn record_woken(shard: &SimShard, world: &World, since: usize) {
    for fiber in shard.shard.queue.since(since) {
        world.note(|| format!("wakes {}", label_of(shard, &fiber)));
    }
}

fn label_of(shard: &SimShard, fiber: &FiberCell) -> String {
    let label = label(fiber);
    if shard.number == 0 { label } else { format!("shard {}: {label}", shard.number) }
}
