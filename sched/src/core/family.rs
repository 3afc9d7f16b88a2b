//! The fibers of one scope: what the scope's end and a cancel mean for them.

use std::rc::Rc;

use super::shard::Shard;
use super::wake::cancel;
use crate::fiber::{Family, FiberCell};

/// Lets the scope of a fiber that is over go on; a scope whose fiber was given up never ends.
pub(super) fn leave_family(shard: &Shard, fiber: &FiberCell) {
    let Some(family) = fiber.family.take() else { return };
    if fiber.given_up.get() {
        family.is_lost.set(true);
    }
    family.children.borrow_mut().remove(&fiber.key);
    if family.children.borrow().is_empty() || family.is_lost.get() || family.has_panic() {
        shard.wake(Rc::clone(&family.parent));
    }
}

pub(super) fn cancel_family(shard: &Shard, family: &Family) {
    family.cancelled.set(true);
    // A copy of the list: a cancel is traced, and the trace is the user's code.
    let children: Vec<_> = family.children.borrow().values().cloned().collect();
    for child in &children {
        child.bounds.cancel();
        shard.wake(Rc::clone(child));
    }
    children.iter().for_each(|child| cancel(shard, child));
}

/// Whether the fiber belongs to a scope in an `uncancellable` section, which needs the fiber until
/// the section ends.
pub(super) fn is_sheltered(fiber: &FiberCell) -> bool {
    let mut family = fiber.family.borrow().clone();
    while let Some(next) = family {
        if next.parent.bounds.is_masked() {
            return true;
        }
        let above = next.parent.family.borrow().clone();
        family = above;
    }
    false
}
