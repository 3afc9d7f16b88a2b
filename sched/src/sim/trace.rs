//! Words for what a simulated shard does.
//!
//! What a fiber did in its turn is seen from outside: the run queue grew by those that it woke, and
//! its note says what it waits for. So the scheduler's own paths carry no word of it.

use std::rc::Rc;

use super::runner::SimShard;
use crate::core::label;
use crate::driver::World;
use crate::fiber::FiberCell;

impl SimShard {
    /// As [`Shard::resume`](crate::core::Shard::resume), in words.
    pub(super) fn resume_traced(&self, world: &World, fiber: &Rc<FiberCell>) {
        let woken_before = self.shard.ready.borrow().len();
        world.set_actor(self.label(fiber));
        self.shard.resume(Rc::clone(fiber));
        self.note_woken(world, woken_before);
        let is_resting = fiber.body.borrow().is_resting();
        if fiber.over.get() {
            world.note(|| "ends".to_owned());
        } else if is_resting {
            world.note(|| "rests".to_owned());
        } else {
            world.note(|| format!("waits: {}", self.shard.describe(fiber.wait.get())));
        }
        world.set_actor(String::new());
    }

    /// Names those that came into the run queue since it had that length.
    pub(super) fn note_woken(&self, world: &World, since: usize) {
        let ready = self.shard.ready.borrow();
        for fiber in ready.iter().skip(since) {
            world.note(|| format!("wakes {}", self.label(fiber)));
        }
    }

    fn label(&self, fiber: &FiberCell) -> String {
        let label = label(fiber);
        if self.number == 0 { label } else { format!("shard {}: {label}", self.number) }
    }
}
