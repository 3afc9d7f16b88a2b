//! Fibers that wait for each other in a circle: found by the one that would close it.
//!
//! Two waits have exactly one fiber that can end them: a join has its target, and a lock has its
//! holder. Before a fiber begins such a wait, the chain of them is followed from that fiber. If it
//! comes back to the caller, nothing can ever end it, and the caller panics with the names of all.
//! It is certain: a fiber in the chain that is cancelled, or has a deadline, will leave by itself,
//! and then nothing is said. Circles over several shards are not found, and neither are those
//! through channels, where anybody may come and send.
//!
//! What is left is found late: a shard that has been quiet for a while looks whether all of its
//! fibers wait for something that only another fiber or thread can do. If the process has no other
//! thread, nobody will.

use std::fmt::Write;
use std::rc::Rc;

use super::inspect::Label;
use super::local;
use super::report::Report;
use super::shard::Shard;
use super::source_state::SourceState;
use crate::fiber::{CallName, FiberCell, FiberKey, Tick, Wait};
use crate::watch;

/// The message of the panic, if the calling fiber must not wait for a lock that `holder` has: the
/// number of a shard, and a fiber there.
pub(crate) fn lock_deadlock(call: CallName, holder: (u64, FiberKey)) -> Option<String> {
    local::try_with(|shard| {
        let (shard_id, key) = holder;
        if shard_id != shard.id {
            return None;
        }
        shard.deadlock(&*shard.try_current()?, key, call)
    })
    .flatten()
}

/// Whether that fiber, of that shard, is one of the caller's shard and waits for a lock or a join
/// itself: then [`lock_deadlock`] is worth a call.
pub(crate) fn waits_in_chain((shard_id, key): (u64, FiberKey)) -> bool {
    local::try_with(|shard| {
        let fibers = shard.fibers.borrow();
        let holder = fibers.get(key).filter(|_| shard.id == shard_id);
        // One that is queued has just been handed what it waited for, as a lock's next holder is.
        holder.is_some_and(|holder| {
            !holder.queued.get() && matches!(holder.wait.get(), Wait::End(_) | Wait::Lock(_))
        })
    })
    .unwrap_or(false)
}

impl Shard {
    /// What is wrong with `me` beginning to wait for `first`, in `call`; `None` if nothing is known
    /// to be.
    pub(super) fn deadlock(
        &self,
        me: &FiberCell,
        first: FiberKey,
        call: CallName,
    ) -> Option<String> {
        if !self.is_circle(me, first) || std::thread::panicking() {
            return None;
        }
        let mut text = format!("straightline: deadlock: {} would wait for ever", Label(me));
        let (mut key, mut call) = (first, call);
        loop {
            let fiber = self.fibers.borrow().get(key).cloned()?;
            // Writing to a string cannot fail.
            let _ = write!(text, "; in {call} for {}", Label(&fiber));
            if fiber.key == me.key {
                return Some(text);
            }
            text.push_str(", which waits");
            (key, call) = self.next_in_chain(&fiber)?;
        }
    }

    /// Reports a shard whose fibers all wait for each other. The monitor has it look when it has
    /// been quiet for a while.
    pub(super) fn tell_if_stuck(&self) {
        let waits_inside = |fiber: &Rc<FiberCell>| {
            let wait = fiber.wait.get();
            matches!(wait, Wait::End(_) | Wait::Lock(_) | Wait::Children | Wait::Call(_))
        };
        if self.ready.borrow().is_empty()
            && self.timers.borrow().len() == 0
            // At its end a shard has none.
            && !self.fibers.borrow().is_empty()
            && self.fibers.borrow().values().all(waits_inside)
            // A select, a connect or a task waits for a descriptor under another name.
            && !self.sources.borrow().values().any(SourceState::is_waited_for)
            && watch::is_only_thread()
            // The monitor asks twice; nothing has run since it was told.
            && self.told_stuck_at.replace(Some(self.pulse.beats())) != Some(self.pulse.beats())
        {
            self.report(&Report::Deadlock(self.inspect()));
        }
    }

    fn is_circle(&self, me: &FiberCell, first: FiberKey) -> bool {
        let mut key = first;
        // There are no other circles, unless one had a way out when it was closed.
        for _ in 0..CHAIN_MAX {
            let Some(fiber) = self.fibers.borrow().get(key).cloned() else { return false };
            let leaves = fiber.cancelled.get() || fiber.ends_at.get() != Tick::NEVER;
            if leaves || fiber.queued.get() && fiber.key != me.key {
                return false;
            }
            if fiber.key == me.key {
                return true;
            }
            let Some((next, _)) = self.next_in_chain(&fiber) else { return false };
            key = next;
        }
        false
    }

    /// The one fiber that can end this one's wait, and the call that waits; `None` if there is no
    /// such one on this shard.
    fn next_in_chain(&self, fiber: &FiberCell) -> Option<(FiberKey, CallName)> {
        match fiber.wait.get() {
            Wait::End(target) => Some((target, &"JoinHandle::join")),
            Wait::Lock(lock) => {
                let (shard_id, holder) = lock.holder()?;
                (shard_id == self.id).then_some((holder, lock.call()))
            }
            _ => None,
        }
    }
}

/// Arbitrary; a chain of so many locks is no deadlock that a message would help with.
const CHAIN_MAX: u32 = 1_000;
