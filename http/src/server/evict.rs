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

use slotmap::SlotMap;

use super::entry::{ConnectionKey, Entry};

/// Connections that may go, those first that have rested longest.
#[derive(Debug, Default)]
pub(super) struct Evictable {
    /// Each with the sweep in which its rest began.
    found: RefCell<VecDeque<(ConnectionKey, u32)>>,
    /// The number of the sweep before which none was found.
    none_in: Cell<u32>,
}

impl Evictable {
    /// The connection that goes first, if one has rested for long enough. `sweep` is the number of
    /// the next sweep.
    pub(super) fn first(
        &self,
        open: &SlotMap<ConnectionKey, Entry>,
        sweep: u32,
    ) -> Option<ConnectionKey> {
        let mut found = self.found.borrow_mut();
        loop {
            match found.front() {
                Some(&(key, since)) if rests_since(open, key) == Some(since) => return Some(key),
                Some(_) => drop(found.pop_front()),
                None if self.none_in.get() == sweep => return None,
                None => {
                    *found = find(open, sweep);
                    if found.is_empty() {
                        self.none_in.set(sweep);
                    }
                }
            }
        }
    }
}

/// In which sweep a connection began to rest that still does, and may go on.
fn rests_since(open: &SlotMap<ConnectionKey, Entry>, key: ConnectionKey) -> Option<u32> {
    open.get(key).and_then(Entry::rests_since)
}

fn find(open: &SlotMap<ConnectionKey, Entry>, sweep: u32) -> VecDeque<(ConnectionKey, u32)> {
    let resting = open.iter().filter_map(|(key, entry)| {
        let since = entry.rests_since()?;
        (sweep.saturating_sub(since) >= SWEEPS_LEAST).then_some((key, since))
    });
    let mut found: Vec<_> = resting.collect();
    if found.len() > FOUND_MAX {
        found.select_nth_unstable_by_key(FOUND_MAX, |&(_, since)| since);
        found.truncate(FOUND_MAX);
    }
    found.sort_unstable_by_key(|&(_, since)| since);
    found.into()
}

/// Between two sweeps lies one whole interval.
const SWEEPS_LEAST: u32 = 2;

/// How many are looked for at a time. Arbitrary: one look through 10,000 connections for so many
/// newcomers costs each some hundred nanoseconds.
const FOUND_MAX: usize = 256;
