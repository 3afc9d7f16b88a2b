//! A line of waiters, first come, first served; and the place of one of them.
//!
//! Every type of `sync` keeps its state, with a line in it, under a short lock. Who has to wait
//! joins the line under that lock and then waits without it. Who has something to give *calls* the
//! front of the line: the waiter is taken out of it and woken, and what it was called for is its
//! own from then on, so nobody can come in between. Or he *dismisses* the whole line: they go and
//! look for themselves.
//!
//! ```text
//!              call                       claim
//! waiting ────────────▶ called ─────────────────────▶ (gone, and has what it was called for)
//!    │ dismiss             │ unwinds, or is given up: `left(called)`, which passes it on
//!    ▼                     ▼
//!  (gone, looks again)   (gone)
//! ```
//!
//! A waiter that unwinds leaves from wherever it is: the drop of its [`Place`] sees to that. For a
//! fiber that is given up, and whose destructors never run, the scheduler does it: the fiber's
//! [`Wait`](crate::fiber::Wait) says how. Tickets ascend in both queues, so a search takes
//! logarithmic time.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::owner::Owner;
use super::waiter::{Waiter, Wakes, wait_in};
use crate::core::{Unwinding, clock};
use crate::fiber::{CallName, FiberKey, Standing};

pub(super) struct Line {
    waiting: VecDeque<Entry>,
    /// Called, and has not run since.
    called: VecDeque<u64>,
    next_ticket: u64,
}

struct Entry {
    ticket: u64,
    /// How much it waits for; 1 where there is nothing to count.
    need: usize,
    waiter: Waiter,
}

/// How a wait ended that did not unwind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Called,
    Dismissed,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), called: VecDeque::new(), next_ticket: 0 }
    }

    /// Whether nobody waits to be called.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the front waits for.
    pub(super) fn front_need(&self) -> Option<usize> {
        self.waiting.front().map(|entry| entry.need)
    }

    /// Who the front is.
    pub(super) fn front_owner(&self) -> Owner {
        self.waiting.front().map_or(Owner::NOBODY, |entry| Owner::of(&entry.waiter))
    }

    /// Calls the front, if somebody is there; returns whether.
    pub(super) fn call_front(&mut self, wakes: &mut Wakes) -> bool {
        let Some(entry) = self.waiting.pop_front() else { return false };
        self.called.push_back(entry.ticket);
        wakes.push(entry.waiter);
        true
    }

    /// Sends everybody who waits away, to look for himself.
    pub(super) fn dismiss_all(&mut self, wakes: &mut Wakes) {
        self.waiting.drain(..).for_each(|entry| wakes.push(entry.waiter));
    }

    fn join(&mut self, need: usize, waiter: Waiter) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back(Entry { ticket, need, waiter });
        ticket
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |entry| entry.ticket).ok()
    }

    /// How the wait has ended; `None` while it goes on. Forgets a call.
    fn claim(&mut self, ticket: u64) -> Option<End> {
        // Who was called first nearly always runs first.
        if self.called.front() == Some(&ticket) {
            self.called.pop_front();
            return Some(End::Called);
        }
        if let Ok(position) = self.called.binary_search(&ticket) {
            self.called.remove(position);
            return Some(End::Called);
        }
        self.position(ticket).is_none().then_some(End::Dismissed)
    }
}

/// What a state does about one of its lines.
pub(super) struct Rules<S> {
    pub(super) line: fn(&mut S) -> &mut Line,
    /// Somebody unwound or was given up: while he waited, or after he was called (`Some`: what for)
    /// and before he took it. Passes it on, or looks whether those behind him can go now.
    pub(super) left: fn(&mut S, called_for: Option<usize>, wakes: &mut Wakes),
}

/// The caller's place in a line, from joining to the end of the wait.
#[must_use = "the place is left when this is dropped"]
pub(super) struct Place<'s, S> {
    state: &'s Mutex<S>,
    rules: Rules<S>,
    ticket: u64,
    need: usize,
}

impl<'s, S> Place<'s, S> {
    /// Joins the line under the lock that the caller holds, and releases the lock.
    pub(super) fn join(
        state: &'s Mutex<S>,
        mut locked: MutexGuard<'s, S>,
        rules: Rules<S>,
        need: usize,
    ) -> Self {
        let ticket = (rules.line)(&mut locked).join(need, Waiter::current());
        drop(locked);
        Self { state, rules, ticket, need }
    }

    /// Waits until the caller is called or dismissed, and takes what it was called for.
    pub(super) fn wait(self, call: CallName) -> Result<End, Unwinding> {
        self.wait_then(call, |_, end| end)
    }

    /// As [`wait`](Self::wait); `take` runs under the lock, in the moment of the claim.
    pub(super) fn wait_then<R>(
        self,
        call: CallName,
        take: impl FnOnce(&mut S, End) -> R,
    ) -> Result<R, Unwinding> {
        let standing = Standing { call, holder: None, leave: &|| self.leave() };
        let (mut state, end) = self.wait_at(&standing)?;
        let taken = take(&mut state, end);
        drop(state);
        mem::forget(self); // it stands in no queue any more, and owns nothing
        Ok(taken)
    }

    /// As [`wait`](Self::wait), for a lock: `holder` tells who took it. If the caller is given up
    /// meanwhile, `also_leave` is called too.
    pub(super) fn wait_for_lock(
        self,
        call: CallName,
        holder: &dyn Fn() -> Option<(u64, FiberKey)>,
        also_leave: &dyn Fn(),
    ) -> Result<End, Unwinding> {
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

    /// As [`wait`](Self::wait), but not longer than until `due`, and a call stays unclaimed: if the
    /// caller [leaves](Self::leave) before it [claims](Self::claim) it, the call is passed on.
    /// Returns false if the time was over first; the place is left then.
    pub(super) fn wait_unclaimed(
        &self,
        call: CallName,
        due: Option<Instant>,
    ) -> Result<bool, Unwinding> {
        let standing = Standing { call, holder: None, leave: &|| self.leave() };
        loop {
            let is_due = due.is_some_and(|due| clock() >= due);
            let mut state = self.state.lock();
            if (self.rules.line)(&mut state).position(self.ticket).is_none() {
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

    /// Takes what the caller was called for, after [`wait_unclaimed`](Self::wait_unclaimed).
    pub(super) fn claim(self) {
        (self.rules.line)(&mut self.state.lock()).claim(self.ticket);
        mem::forget(self); // as in `wait_then`
    }

    /// Gives the place up, from wherever it is. What the caller was called for and has not claimed
    /// goes to the next.
    pub(super) fn leave(&self) {
        self.leave_from(self.state.lock());
    }

    fn leave_from(&self, mut state: MutexGuard<'s, S>) {
        let mut wakes = Wakes::default();
        let line = (self.rules.line)(&mut state);
        if let Some(position) = line.position(self.ticket) {
            line.waiting.remove(position);
            (self.rules.left)(&mut state, None, &mut wakes);
        } else if line.claim(self.ticket) == Some(End::Called) {
            (self.rules.left)(&mut state, Some(self.need), &mut wakes);
        } // else dismissed: nobody counts on it
        drop(state);
        wakes.wake_all();
    }

    /// Waits until the caller is called or dismissed; that is then forgotten.
    fn wait_at(&self, standing: &Standing<'_>) -> Result<(MutexGuard<'s, S>, End), Unwinding> {
        loop {
            // Who was called since it joined is woken already, so this returns at once.
            wait_in(standing, None)?;
            let mut state = self.state.lock();
            if let Some(end) = (self.rules.line)(&mut state).claim(self.ticket) {
                return Ok((state, end));
            }
        }
    }
}

impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        self.leave();
    }
}
