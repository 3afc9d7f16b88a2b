//! The end of a fiber that does not end by itself, and of a whole shard.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use super::inspect::{FiberInfo, Label};
use super::local;
use super::report::Report;
use super::shard::Shard;
use crate::fiber::{Body, FiberCell, Tick, Wait, while_running};

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

    /// Cancels every fiber; returns when those that are left then are to be given up.
    pub(crate) fn begin_end(&self) -> Tick {
        self.ending.set(true);
        for message in self.mailbox.close_to_spawns() {
            self.read_message(message);
        }
        // What never began is dropped on a fiber, where its destructors may do what they like.
        for sent in self.deferred.take() {
            if self.spawn_sent(sent).is_ok() {
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

    /// The running fiber swallowed one unwind after the other, and will never run again. What its
    /// scopes' fibers borrow from it stays where it is; they are cancelled.
    pub(super) fn before_give_up(&self, fiber: &FiberCell) {
        self.counters.given_up.add(1);
        self.report(&Report::GivenUp(FiberInfo::of(self, fiber)));
        self.given_up.borrow_mut().insert(fiber.key, Label(fiber).to_string());
        for child in self.fibers.borrow().values() {
            if let Some(family) = &child.birth.family
                && std::ptr::eq(Rc::as_ptr(&family.parent), fiber)
            {
                family.cancelled.set(true);
                self.cancel(child);
            }
        }
    }

    /// Whether the fiber belongs to a scope in an `uncancellable` section: it ends with that, which
    /// needs it until then.
    pub(super) fn is_sheltered(fiber: &FiberCell) -> bool {
        let mut child = fiber;
        while let Some(family) = &child.birth.family {
            if family.parent.masked.get() > 0 {
                return true;
            }
            child = &family.parent;
        }
        false
    }

    /// Takes back the place of a fiber that will never run again: what it was called for, or would
    /// be, goes on to the next. It has to be the running one.
    pub(super) fn leave_line(fiber: &FiberCell) {
        if let Wait::Line(line) = fiber.wait.replace(Wait::Nothing) {
            line.leave();
        }
    }

    /// Leaves a fiber's frames as they are for ever, and what they point into.
    pub(super) fn forget_body(body: Body) {
        mem::forget(body);
    }

    fn give_up_all(&self) {
        let left: Vec<_> = self.fibers.borrow().values().cloned().collect();
        for fiber in left {
            self.before_give_up(&fiber);
            while_running(&fiber, || Self::leave_line(&fiber));
            Self::forget_body(fiber.body.replace(Body::OVER));
            self.finish(&fiber);
        }
    }
}

impl Drop for Shard {
    /// Only if the shard itself panicked are there fibers left. Their frames may borrow from each
    /// other, so they are not unwound in whatever order, but left as they are.
    fn drop(&mut self) {
        let left: Vec<_> = self.fibers.borrow_mut().drain().map(|(_, fiber)| fiber).collect();
        for fiber in left {
            let _entered = (!local::is_on_a_shard()).then(|| local::enter(self));
            while_running(&fiber, || Self::leave_line(&fiber));
            if let Ok(mut body) = fiber.body.try_borrow_mut() {
                Self::forget_body(mem::replace(&mut *body, Body::OVER));
            }
        }
    }
}

/// How long the end of a shard waits for `uncancellable` sections. Arbitrary: longer than a commit,
/// shorter than what a service manager waits before it kills.
const END_GRACE: Duration = Duration::from_secs(10);
