//! The bookkeeping for a fiber that is over: one that has ended, or one that is abandoned.

use std::mem;
use std::rc::Rc;

use super::children::leave_scope;
use super::elsewhere;
use super::fiber_info::{FiberState, Label};
use super::inspect::info_of;
use super::mailbox::Message;
use super::report::Report;
use super::shard::Shard;
use super::timer::clear_timer;
use super::wake::cancel;
use crate::fiber::{Abandoned, Body, Cold, EndWatcher, FiberCell, Wait, while_running};

/// Records that a fiber will never run again.
pub(super) fn finish(shard: &Shard, fiber: &Rc<FiberCell>) {
    fiber.life.end();
    fiber.waiting.end();
    shard.counters.ended.add(1);
    clear_timer(shard, fiber);
    shard.fibers.remove(fiber.key);
    leave_scope(shard, fiber);
    if let Some(joiner) = fiber.joiner.take() {
        shard.wake(joiner);
    }
    if let Some(cold) = fiber.cold() {
        finish_cold(shard, cold);
    }
}

/// Wakes the fibers that wait for the end of this one among other things, or on another shard.
pub(super) fn finish_cold(shard: &Shard, cold: &Cold) {
    for watcher in cold.watchers.take() {
        match watcher {
            EndWatcher::Here(watcher) => shard.wake(watcher),
            EndWatcher::Elsewhere(shard_id, key) => {
                elsewhere::at(shard_id, |_| (), || Message::Wake(key));
            }
        }
    }
    // A fiber that was abandoned still owns these: its own code never runs again, and that includes
    // their destructors.
    cold.locals.take().into_iter().for_each(mem::forget);
    cold.park_hooks.forget();
    cold.switch_hooks.forget();
}

/// Records that a fiber neither ends nor ever runs again. The fibers of its scopes are cancelled;
/// the data that they borrow from it stays where it is. Its own scope never ends, see `scope`.
///
/// Not called on a fiber: the reporter runs on the thread's stack, and cannot wait.
pub(super) fn abandon(shard: &Shard, fiber: &Rc<FiberCell>, why: Abandoned) {
    let mut info = info_of(shard, fiber);
    if info.state == FiberState::Ready {
        info.state = FiberState::Running; // until this moment
    }
    fiber.life.abandon();
    leave_wait_queue(fiber);
    shard.abandoned.record(fiber.key, Label(fiber).to_string());
    shard.counters.abandoned.add(1);
    for child in shard.fibers.list() {
        let scope_state = child.scope_state();
        if let Some(scope_state) =
            scope_state.filter(|scope_state| Rc::ptr_eq(&scope_state.parent, fiber))
        {
            scope_state.cancel();
            cancel(shard, &child);
        }
    }
    finish(shard, fiber);
    shard.report(&Report::Abandoned(info, why));
}

/// Leaves the wait queue for a fiber that will never run again: its grant, or its turn, goes to the
/// next waiter. The fiber counts as the running one meanwhile, although none of its code runs. So
/// this calls only `sync`'s own code, which does not wait there.
pub(super) fn leave_wait_queue(fiber: &Rc<FiberCell>) {
    if let Wait::Queue(queue_wait) = fiber.waiting.end() {
        while_running(fiber, || queue_wait.leave());
    }
}

/// Leaves a fiber's frames, and the data that they point to, as they are for ever.
pub(super) fn forget_body(shard: &Shard, body: Body) {
    shard.abandoned.record_remains();
    mem::forget(body);
}
