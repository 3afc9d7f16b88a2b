//! The places of a pool: which connections are idle, and who waits. Plain data, without fibers.
//!
//! ```text
//!                take_idle                 (user)
//!   idle ───────────────────────▶ taken ───────────┐
//!    ▲                              ▲              │
//!    │ keep, if no fiber waits      │ next_waiting │
//!    └──────────────────────────────┴──────────────┘
//! ```
//!
//! A connection is idle, or taken (by a user, by the fiber that makes it, or by a fiber that takes
//! care of it). Each has one of `max` places. A place is vacated when its connection is dropped.

use std::collections::VecDeque;
use std::time::Instant;

/// Where connections of type `C` are kept, and the waiting fibers, for each of which there is a
/// `W`.
pub(super) struct Places<C, W> {
    max: usize,
    /// The one that was used last is at the back, and is taken first: the others become old.
    /// Empty while a fiber waits.
    idle: VecDeque<Member<C>>,
    /// The fiber that has waited longest is in front; the numbers ascend.
    waiting: VecDeque<(u64, W)>,
    next_number: u64,
    /// `idle.len() <= open <= max`.
    open: usize,
    /// Connections that are being made: `connecting <= open - idle.len()`.
    connecting: usize,
    is_closed: bool,
}

/// A connection with its dates.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) connection: C,
    /// When it is too old.
    pub(super) expires: Option<Instant>,
    /// Since when it is idle.
    pub(super) idle_since: Instant,
}

impl<C> Member<C> {
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl<C, W> Places<C, W> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            next_number: 0,
            open: 0,
            connecting: 0,
            is_closed: false,
        }
    }

    /// Takes the idle connection that was used last, if no fiber waits.
    pub(super) fn take_idle(&mut self) -> Option<Member<C>> {
        if !self.waiting.is_empty() {
            return None;
        }
        self.idle.pop_back()
    }

    /// Stands in the queue; returns the number of the place there.
    pub(super) fn join(&mut self, waiting: W) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push_back((number, waiting));
        number
    }

    /// Leaves the queue, if it still stands there.
    pub(super) fn leave(&mut self, number: u64) -> Option<W> {
        let at = self.waiting.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.waiting.remove(at).map(|(_, waiting)| waiting)
    }

    /// Takes the one that has waited longest out of the queue.
    pub(super) fn next_waiting(&mut self) -> Option<W> {
        self.waiting.pop_front().map(|(_, waiting)| waiting)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a connection for the next user. Gives it back if the pool is closed: its place is
    /// then to be vacated.
    pub(super) fn keep(&mut self, member: Member<C>) -> Result<(), Member<C>> {
        debug_assert!(self.waiting.is_empty(), "it goes to a fiber that waits");
        if self.is_closed {
            return Err(member);
        }
        self.idle.push_back(member);
        Ok(())
    }

    /// Takes a place for a connection that is to be made, if a fiber waits for which none is being
    /// made yet.
    pub(super) fn begin_connect(&mut self) -> bool {
        let begins =
            !self.is_closed && self.connecting < self.waiting.len() && self.open < self.max;
        if begins {
            self.open += 1;
            self.connecting += 1;
        }
        begins
    }

    /// The connection was made, or not; its place is still taken.
    pub(super) fn end_connect(&mut self) {
        self.connecting -= 1;
    }

    /// A connection was dropped.
    pub(super) fn vacate(&mut self) {
        self.open -= 1;
    }

    /// Takes out an idle connection for which it is time: it was idle since `idle_before`, or is
    /// too old at `now`. The longest idle one is looked at first.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        idle_before: Option<Instant>,
    ) -> Option<Member<C>> {
        let is_due = |member: &Member<C>| {
            idle_before.is_some_and(|before| member.idle_since <= before) || member.is_expired(now)
        };
        let at = self.idle.iter().position(is_due)?;
        self.idle.remove(at)
    }

    /// The idle connections, the longest idle one first.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Member<C>> {
        self.idle.iter()
    }

    /// No connection is kept any more. Returns what has to be dropped.
    pub(super) fn close(&mut self) -> (VecDeque<Member<C>>, VecDeque<(u64, W)>) {
        self.is_closed = true;
        (std::mem::take(&mut self.idle), std::mem::take(&mut self.waiting))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
mod tests;
