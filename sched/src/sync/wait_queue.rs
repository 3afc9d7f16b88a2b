//! A fair queue of waiters, and the ticket of one waiter.
//!
//! Every type of `sync` keeps its state, with a queue in it, under a short lock. A caller that has
//! to wait joins the queue under that lock and then waits without the lock. A releaser *grants* to
//! the front waiter: it takes the waiter out of the queue and wakes it, and the resource is that
//! waiter's from then on, so no other caller overtakes it. Or it *dismisses* all waiters, which
//! then look at the state again.
//!
//! ```text
//!              grant                      claim
//! waiting ────────────▶ granted ────────────────────▶ (gone, and has the resource)
//!    │ dismiss             │ unwinds, or is abandoned: `left(granted)`, which passes it on
//!    ▼                     ▼
//!  (gone, looks again)   (gone)
//! ```
//!
//! A waiter that unwinds leaves the queue in either state: the drop of its [`Ticket`] sees to that.
//! The destructors of a fiber that is abandoned never run. For such a fiber the scheduler does it:
//! the fiber's [`Wait`](crate::fiber::Wait) says how. Numbers ascend in both queues, so a search
//! takes logarithmic time.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::owner::Owner;
use super::waiter::{Waiter, Wakes, wait_in};
use crate::core::{Unwinding, now};
use crate::fiber::{CallName, FiberKey, Standing};

pub(super) struct WaitQueue {
    waiting: VecDeque<Entry>,
    /// Those that were granted the resource, and have not run since.
    granted: VecDeque<u64>,
    next_number: u64,
}

struct Entry {
    number: u64,
    /// How much it waits for; 1 where there is nothing to count.
    need: usize,
    waiter: Waiter,
}

/// How a wait ended that did not unwind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitEnd {
    Granted,
    Dismissed,
}

impl WaitQueue {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), granted: VecDeque::new(), next_number: 0 }
    }

    /// Whether no caller waits for a grant.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How much the front waiter waits for.
    pub(super) fn front_need(&self) -> Option<usize> {
        self.waiting.front().map(|entry| entry.need)
    }

    /// The front waiter, as the owner that it becomes.
    pub(super) fn front_owner(&self) -> Owner {
        self.waiting.front().map_or(Owner::NONE, |entry| Owner::of(&entry.waiter))
    }

    /// Grants to the front waiter; returns whether there was one.
    pub(super) fn grant_front(&mut self, wakes: &mut Wakes) -> bool {
        let Some(entry) = self.waiting.pop_front() else { return false };
        self.granted.push_back(entry.number);
        wakes.push(entry.waiter);
        true
    }

    /// Wakes all waiters without a grant: each looks at the state again.
    pub(super) fn dismiss_all(&mut self, wakes: &mut Wakes) {
        self.waiting.drain(..).for_each(|entry| wakes.push(entry.waiter));
    }

    fn join(&mut self, need: usize, waiter: Waiter) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push_back(Entry { number, need, waiter });
        number
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |entry| entry.number).ok()
    }

    /// How the wait has ended; `None` while it goes on. Forgets the grant.
    fn claim(&mut self, number: u64) -> Option<WaitEnd> {
        // The waiter that was granted first nearly always runs first.
        if self.granted.front() == Some(&number) {
            self.granted.pop_front();
            return Some(WaitEnd::Granted);
        }
        if let Ok(position) = self.granted.binary_search(&number) {
            self.granted.remove(position);
            return Some(WaitEnd::Granted);
        }
        self.position(number).is_none().then_some(WaitEnd::Dismissed)
    }
}

/// What a state does about one of its queues.
pub(super) struct QueuePolicy<S> {
    pub(super) queue: fn(&mut S) -> &mut WaitQueue,
    /// A waiter unwound or was abandoned: while it waited (`None`), or after a grant of so much
    /// (`Some`) and before it claimed that. Passes the grant on, or looks whether the waiters
    /// behind it can have theirs now.
    pub(super) left: fn(&mut S, granted: Option<usize>, wakes: &mut Wakes),
}

/// The caller's place in a queue, from joining to the end of the wait.
#[must_use = "the queue is left when this is dropped"]
pub(super) struct Ticket<'s, S> {
    state: &'s Mutex<S>,
    policy: QueuePolicy<S>,
    number: u64,
    need: usize,
}

impl<'s, S> Ticket<'s, S> {
    /// Joins the queue under the lock that the caller holds, and releases the lock.
    pub(super) fn join(
        state: &'s Mutex<S>,
        mut locked: MutexGuard<'s, S>,
        policy: QueuePolicy<S>,
        need: usize,
    ) -> Self {
        let number = (policy.queue)(&mut locked).join(need, Waiter::current());
        drop(locked);
        Self { state, policy, number, need }
    }

    /// Waits until the caller is granted the resource or is dismissed; claims the grant.
    pub(super) fn wait(self, call: CallName) -> Result<WaitEnd, Unwinding> {
        self.wait_then(call, |_, end| end)
    }

    /// As [`wait`](Self::wait); `take` runs under the lock, in the moment of the claim.
    pub(super) fn wait_then<R>(
        self,
        call: CallName,
        take: impl FnOnce(&mut S, WaitEnd) -> R,
    ) -> Result<R, Unwinding> {
        let standing = Standing { call, holder: None, leave: &|| self.leave() };
        let (mut state, end) = self.wait_at(&standing)?;
        let taken = take(&mut state, end);
        drop(state);
        mem::forget(self); // it stands in no queue any more, and owns nothing
        Ok(taken)
    }

    /// As [`wait`](Self::wait), for a lock: `holder` tells which fiber has it. If the caller is
    /// abandoned meanwhile, `also_leave` is called too.
    pub(super) fn wait_for_lock(
        self,
        call: CallName,
        holder: &dyn Fn() -> Option<(u64, FiberKey)>,
        also_leave: &dyn Fn(),
    ) -> Result<WaitEnd, Unwinding> {
        let leave = || {
            self.leave();
            also_leave();
        };
        let standing = Standing { call, holder: Some(holder), leave: &leave };
        let (state, end) = self.wait_at(&standing)?;
        drop(state);
        mem::forget(self); // as in `wait_then`
        Ok(end)
    }

    /// As [`wait`](Self::wait), but not longer than until `due`, and a grant stays unclaimed: if
    /// the caller [leaves](Self::leave) before it [claims](Self::claim) the grant, that is passed
    /// on. Returns false if the time was over first; the caller has left the queue then.
    pub(super) fn wait_unclaimed(
        &self,
        call: CallName,
        due: Option<Instant>,
    ) -> Result<bool, Unwinding> {
        let standing = Standing { call, holder: None, leave: &|| self.leave() };
        loop {
            let is_due = due.is_some_and(|due| now() >= due);
            let mut state = self.state.lock();
            if (self.policy.queue)(&mut state).position(self.number).is_none() {
                return Ok(true);
            }
            if is_due {
                self.leave_from(state);
                return Ok(false);
            }
            drop(state);
            wait_in(&standing, due)?;
        }
    }

    /// Takes what the caller was granted, after [`wait_unclaimed`](Self::wait_unclaimed).
    pub(super) fn claim(self) {
        (self.policy.queue)(&mut self.state.lock()).claim(self.number);
        mem::forget(self); // as in `wait_then`
    }

    /// Leaves the queue, in either state. A grant that the caller has not claimed goes to the next
    /// waiter.
    pub(super) fn leave(&self) {
        self.leave_from(self.state.lock());
    }

    fn leave_from(&self, mut state: MutexGuard<'s, S>) {
        let mut wakes = Wakes::default();
        let queue = (self.policy.queue)(&mut state);
        if let Some(position) = queue.position(self.number) {
            queue.waiting.remove(position);
            (self.policy.left)(&mut state, None, &mut wakes);
        } else if queue.claim(self.number) == Some(WaitEnd::Granted) {
            (self.policy.left)(&mut state, Some(self.need), &mut wakes);
        } // else dismissed: the state does not count on it
        drop(state);
        wakes.wake_all();
    }

    /// Waits until the caller is granted the resource or is dismissed; that is then forgotten.
    fn wait_at(&self, standing: &Standing<'_>) -> Result<(MutexGuard<'s, S>, WaitEnd), Unwinding> {
        loop {
            // A grant since the caller joined has woken it already, so this returns at once.
            wait_in(standing, None)?;
            let mut state = self.state.lock();
            if let Some(end) = (self.policy.queue)(&mut state).claim(self.number) {
                return Ok((state, end));
            }
        }
    }
}

impl<S> Drop for Ticket<'_, S> {
    fn drop(&mut self) {
        self.leave();
    }
}
