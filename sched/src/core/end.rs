//! The end of a fiber that does not end by itself, and of a whole shard.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use super::contain::{contain, discard};
use super::elsewhere;
use super::inspect::{FiberInfo, FiberState, Label};
use super::local;
use super::mailbox::Message;
use super::remains;
use super::report::Report;
use super::shard::Shard;
use crate::fiber::{Body, EndWatcher, FiberCell, GivenUp, Rare, Tick, Wait, while_running};

impl Shard {
    /// Ends every fiber that is left: each is cancelled, and has the time of [`END_GRACE`] to leave
    /// an `uncancellable` section.
    pub(super) fn end(&self) {
        let give_up_at = self.begin_end();
        loop {
            self.run_ready();
            if self.end_if_over(give_up_at) {
                return;
            }
            self.look_outside(Some(give_up_at));
        }
    }

    /// The shard itself has panicked: most likely it cannot wait for events any more. To unwind, a
    /// fiber needs none. So each is cancelled and runs while any can, and who waits for what they
    /// hold hears of it. The others are left as they are when the shard is dropped.
    pub(super) fn end_broken(&self) {
        contain(|| {
            let give_up_at = self.begin_end();
            let run = || {
                while !self.ready.borrow().is_empty() && self.clock() < give_up_at {
                    self.run_ready();
                    self.tick.set(self.clock());
                    self.ring_alarms();
                }
            };
            run();
            if self.fibers.borrow().is_empty() && self.drop_values() {
                run();
            }
        });
    }

    /// Cancels every fiber; returns when those that are left then are to be given up.
    pub(crate) fn begin_end(&self) -> Tick {
        self.ending.set(true);
        for message in self.mailbox.close_to_spawns() {
            self.read_message(message);
        }
        // What never began is dropped on a fiber, where its destructors may do what they like.
        for sent in self.deferred.take() {
            if self.reserve_stack().is_err() {
                discard(sent);
            } else if self.spawn_sent(sent).is_ok() {
                self.run_ready();
            }
        }
        let left: Vec<_> = self.fibers.borrow().values().cloned().collect();
        for fiber in left {
            if !Self::is_sheltered(&fiber) {
                self.cancel(&fiber);
            }
        }
        self.clock().saturating_add(END_GRACE)
    }

    /// Returns whether no fiber is left, and no shard-local. After `give_up_at` there is none.
    pub(crate) fn end_if_over(&self, give_up_at: Tick) -> bool {
        if !self.fibers.borrow().is_empty() {
            if self.clock() < give_up_at {
                return false;
            }
            self.give_up_all();
        }
        if self.drop_values() {
            return false;
        }
        self.mailbox.close();
        debug_assert!(self.ready.borrow().iter().all(|fiber| fiber.over.get()));
        debug_assert_eq!(self.timers.borrow().len(), 0, "an alarm outlived its fiber");
        true
    }

    /// Files a fiber that will never run again.
    pub(super) fn finish(&self, fiber: &Rc<FiberCell>) {
        fiber.over.set(true);
        fiber.wait.set(Wait::Nothing);
        self.counters.ended.add(1);
        self.clear_alarm(fiber);
        self.fibers.borrow_mut().remove(fiber.key);
        self.leave_family(fiber);
        if let Some(joiner) = fiber.joiner.take() {
            self.wake(joiner);
        }
        if let Some(rare) = fiber.rare() {
            self.finish_rare(rare);
        }
    }

    /// Tells those who wait for the end of a fiber among other things, or on another shard.
    pub(super) fn finish_rare(&self, rare: &Rare) {
        for watcher in rare.watchers.take() {
            match watcher {
                EndWatcher::Here(watcher) => self.wake(watcher),
                EndWatcher::Elsewhere(shard_id, key) => {
                    elsewhere::at(shard_id, |_| (), || Message::Wake(key));
                }
            }
        }
        // A fiber that was given up owns these still: its own code never runs again, and that is
        // their destructors too.
        mem::forget(rare.locals.take());
        mem::forget(rare.before_park.take());
    }

    /// Files a fiber that neither ends nor ever runs again. Its scopes' fibers are cancelled; what
    /// they borrow from it stays where it is. Its own scope never ends, see `scope`.
    ///
    /// Not called on a fiber: whatever the reporter is, it has the thread's stack, and cannot wait.
    pub(super) fn give_up(&self, fiber: &Rc<FiberCell>, why: GivenUp) {
        let mut told = FiberInfo::of(self, fiber);
        if told.state == FiberState::Ready {
            told.state = FiberState::Running; // until just now
        }
        fiber.given_up.set(true);
        Self::leave_line(fiber);
        self.given_up.borrow_mut().insert(fiber.key, Label(fiber).to_string());
        self.counters.given_up.add(1);
        let left: Vec<_> = self.fibers.borrow().values().cloned().collect();
        for child in left {
            let family = child.family.borrow().clone();
            if let Some(family) = family.filter(|family| Rc::ptr_eq(&family.parent, fiber)) {
                family.cancelled.set(true);
                self.cancel(&child);
            }
        }
        self.finish(fiber);
        self.report(&Report::GivenUp(told, why));
    }

    /// Whether the fiber belongs to a scope in an `uncancellable` section: it ends with that, which
    /// needs it until then.
    pub(super) fn is_sheltered(fiber: &FiberCell) -> bool {
        let mut family = fiber.family.borrow().clone();
        while let Some(next) = family {
            if next.parent.masked.get() > 0 {
                return true;
            }
            let above = next.parent.family.borrow().clone();
            family = above;
        }
        false
    }

    /// Takes back the place of a fiber that will never run again: what it was called for, or would
    /// be, goes on to the next. It counts as the running one meanwhile, though nothing of it runs:
    /// so this calls nothing but `sync`'s own code, which does not wait there.
    fn leave_line(fiber: &Rc<FiberCell>) {
        if let Wait::Line(line) = fiber.wait.replace(Wait::Nothing) {
            while_running(fiber, || line.leave());
        }
    }

    /// Leaves a fiber's frames as they are for ever, and what they point into.
    pub(super) fn forget_body(&self, body: Body) {
        self.has_remains.set(true);
        mem::forget(body);
    }

    fn give_up_all(&self) {
        let left: Vec<_> = self.fibers.borrow().values().cloned().collect();
        for fiber in left {
            self.forget_body(fiber.body.replace(Body::OVER));
            let is_masked = fiber.masked.get() > 0;
            let why = if is_masked { GivenUp::Uncancellable } else { GivenUp::WithChild };
            self.give_up(&fiber, why);
        }
    }
}

impl Drop for Shard {
    /// Only if the shard itself panicked is there anything left. The fibers' frames may borrow from
    /// each other, so they are not unwound in whatever order, but left as they are; who waits for
    /// their ends hears of it. What was sent is dropped, and nothing can be sent any more.
    fn drop(&mut self) {
        elsewhere::leave(self);
        self.mailbox.close();
        self.deferred.take().into_iter().for_each(discard);
        let left = mem::take(&mut *self.fibers.borrow_mut());
        for (_, fiber) in left {
            let _entered = (!local::is_on_a_shard()).then(|| local::enter(self));
            Self::leave_line(&fiber);
            match fiber.body.try_borrow_mut() {
                Ok(mut body) => self.forget_body(mem::replace(&mut *body, Body::OVER)),
                Err(_) => self.has_remains.set(true),
            }
            fiber.given_up.set(true);
            fiber.over.set(true);
            fiber.rare().into_iter().for_each(|rare| self.finish_rare(rare));
            mem::forget(fiber);
        }
        if self.has_remains.get() {
            remains::keep_thread();
        }
    }
}

/// How long the end of a shard waits for `uncancellable` sections. Arbitrary: longer than a commit,
/// shorter than what a service manager waits before it kills.
const END_GRACE: Duration = Duration::from_secs(10);
