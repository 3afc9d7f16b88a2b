//! Who goes when there is no room for a newcomer: the connection that has rested longest.
//!
//! Whoever only holds a connection would otherwise keep everybody else out. Only connections at
//! rest go, which lose nothing but their place, and only those that have rested for at least the
//! interval between two sweeps: who asks all the time is not driven out by who comes all the time.
//!
//! A connection notes in which sweep its rest began and nothing else, see `sweep`. So those that
//! have rested longest are looked for among all, but many at a time; and if there is nobody, not
//! again before the next sweep, as nobody can have come to be old enough.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use straightline_sched::Fiber;

use super::state::{ConnectionKey, Entry, ShardState};
use crate::wire::RestEnd;

/// Connections that may go, those first that have rested longest.
#[derive(Debug, Default)]
pub(super) struct Evictable {
    /// Each with the sweep in which its rest began.
    found: RefCell<VecDeque<(ConnectionKey, u32)>>,
    /// In which sweep nobody was found.
    nobody_in: Cell<u32>,
}

impl ShardState {
    /// Closes a connection that rests; false if there is none that has rested for long enough.
    pub(super) fn evict(&self) -> bool {
        if !self.has_evictable() {
            return false;
        }
        let Some((key, _)) = self.evictable.found.borrow_mut().pop_front() else { return false };
        let connections = self.connections.borrow();
        let Some(Entry { link, fiber }) = connections.get(key) else { return false };
        link.end_rest(RestEnd::Evicted);
        fiber.iter().for_each(Fiber::unpark);
        true
    }

    /// Whether [`evict`](Self::evict) would close one.
    pub(super) fn has_evictable(&self) -> bool {
        let mut found = self.evictable.found.borrow_mut();
        loop {
            match found.front() {
                Some(&(key, since)) if self.rests_since(key) == Some(since) => return true,
                Some(_) => drop(found.pop_front()),
                None if self.evictable.nobody_in.get() == self.host.sweep() => return false,
                None => {
                    *found = self.find_evictable();
                    if found.is_empty() {
                        self.evictable.nobody_in.set(self.host.sweep());
                    }
                }
            }
        }
    }

    /// In which sweep a connection began to rest that still does, and may go on.
    fn rests_since(&self, key: ConnectionKey) -> Option<u32> {
        self.connections.borrow().get(key).and_then(Entry::rests_since)
    }

    fn find_evictable(&self) -> VecDeque<(ConnectionKey, u32)> {
        let now = self.host.sweep();
        let connections = self.connections.borrow();
        let resting = connections.iter().filter_map(|(key, entry)| {
            let since = entry.rests_since()?;
            (now.saturating_sub(since) >= SWEEPS_LEAST).then_some((key, since))
        });
        let mut found: Vec<_> = resting.collect();
        if found.len() > FOUND_MAX {
            found.select_nth_unstable_by_key(FOUND_MAX, |&(_, since)| since);
            found.truncate(FOUND_MAX);
        }
        found.sort_unstable_by_key(|&(_, since)| since);
        found.into()
    }
}

impl Entry {
    fn rests_since(&self) -> Option<u32> {
        self.link.rests_since().filter(|_| self.link.rest_end().is_none())
    }
}

/// Between two sweeps lies one whole interval.
const SWEEPS_LEAST: u32 = 2;

/// How many are looked for at a time. Arbitrary: one look through 10,000 connections for so many
/// newcomers costs each some hundred nanoseconds.
const FOUND_MAX: usize = 256;
