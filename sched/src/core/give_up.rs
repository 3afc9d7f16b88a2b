//! The bookkeeping for a fiber that is over: one that has ended, or one that is given up.

use std::mem;
use std::rc::Rc;

use super::alarm::clear_alarm;
use super::elsewhere;
use super::family::leave_family;
use super::fiber_info::{FiberState, Label};
use super::inspect::info_of;
use super::mailbox::Message;
use super::report::Report;
use super::shard::Shard;
use super::wake::cancel;
use crate::fiber::{Body, EndWatcher, FiberCell, GivenUp, Rare, Wait, while_running};

/// Records that a fiber will never run again.
pub(super) fn finish(shard: &Shard, fiber: &Rc<FiberCell>) {
    fiber.over.set(true);
    fiber.wait.set(Wait::Nothing);
    shard.counters.ended.add(1);
    clear_alarm(shard, fiber);
    shard.fibers.remove(fiber.key);
    leave_family(shard, fiber);
    if let Some(joiner) = fiber.joiner.take() {
        shard.wake(joiner);
    }
    if let Some(rare) = fiber.rare() {
        finish_rare(shard, rare);
    }
}

/// Wakes the fibers that wait for the end of this one among other things, or on another shard.
pub(super) fn finish_rare(shard: &Shard, rare: &Rare) {
    for watcher in rare.watchers.take() {
        match watcher {
            EndWatcher::Here(watcher) => shard.wake(watcher),
            EndWatcher::Elsewhere(shard_id, key) => {
                elsewhere::at(shard_id, |_| (), || Message::Wake(key));
            }
        }
    }
    // A fiber that was given up still owns these: its own code never runs again, and that includes
    // their destructors.
    mem::forget(rare.locals.take());
    rare.hooks.forget();
}

/// Records that a fiber neither ends nor ever runs again. The fibers of its scopes are cancelled;
/// the data that they borrow from it stays where it is. Its own scope never ends, see `scope`.
///
/// Not called on a fiber: the reporter runs on the thread's stack, and cannot wait.
pub(super) fn give_up(shard: &Shard, fiber: &Rc<FiberCell>, why: GivenUp) {
    let mut told = info_of(shard, fiber);
    if told.state == FiberState::Ready {
        told.state = FiberState::Running; // until this moment
    }
    fiber.given_up.set(true);
    leave_line(fiber);
    shard.abandoned.note(fiber.key, Label(fiber).to_string());
    shard.counters.given_up.add(1);
    for child in shard.fibers.list() {
        let family = child.family.borrow().clone();
        if let Some(family) = family.filter(|family| Rc::ptr_eq(&family.parent, fiber)) {
            family.cancelled.set(true);
            cancel(shard, &child);
        }
    }
    finish(shard, fiber);
    shard.report(&Report::GivenUp(told, why));
}

/// Leaves the wait queue for a fiber that will never run again: its grant, or its turn, goes to the
/// next waiter. The fiber counts as the running one meanwhile, although none of its code runs. So
/// this calls only `sync`'s own code, which does not wait there.
pub(super) fn leave_line(fiber: &Rc<FiberCell>) {
    if let Wait::Line(line) = fiber.wait.replace(Wait::Nothing) {
        while_running(fiber, || line.leave());
    }
}

/// Leaves a fiber's frames, and the data that they point to, as they are for ever.
pub(super) fn forget_body(shard: &Shard, body: Body) {
    shard.abandoned.note_remains();
    mem::forget(body);
}
