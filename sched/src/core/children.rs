//! The fibers of one scope: what the scope's end and a cancel mean for them.

use std::rc::Rc;

use super::shard::Shard;
use super::wake::cancel;
use crate::fiber::{FiberCell, ScopeState};

/// Lets the scope of a fiber that is over go on; a scope whose fiber was abandoned never ends.
pub(super) fn leave_scope(shard: &Shard, fiber: &FiberCell) {
    let Some(scope_state) = fiber.scope_state.take() else { return };
    if scope_state.remove_child(fiber) {
        shard.wake(Rc::clone(&scope_state.parent));
    }
}

pub(super) fn cancel_children(shard: &Shard, scope_state: &ScopeState) {
    scope_state.cancel();
    // A cancel is traced, and the trace is the user's code.
    let children = scope_state.children();
    for child in &children {
        child.bounds.cancel();
        shard.wake(Rc::clone(child));
    }
    children.iter().for_each(|child| cancel(shard, child));
}

/// Whether the fiber belongs to a scope in an `uncancellable` section, which needs the fiber until
/// the section ends.
pub(super) fn is_in_uncancellable_scope(fiber: &FiberCell) -> bool {
    let mut scope_state = fiber.scope_state();
    while let Some(next) = scope_state {
        if next.parent.bounds.is_masked() {
            return true;
        }
        scope_state = next.parent.scope_state();
    }
    false
}
