//! Which connection is closed when there is no room for a new one: the one that has rested longest.
//!
//! Otherwise clients that only hold a connection would keep all others out. Only resting
//! connections are closed, which lose nothing but their place, and only those that have rested for
//! at least the interval between two sweeps. So new clients do not drive out clients that send
//! requests all the time.
//!
//! A connection notes in which sweep its rest began, and nothing else (see `idle_reaper`). To find
//! those that have rested longest takes a look at all connections, so each look finds many. If it
//! finds none, the next look is after the next sweep: before that no connection can have rested for
//! long enough.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use slotmap::SlotMap;

use super::entry::{ConnectionKey, Entry};

/// Connections that may be evicted, those that have rested longest first.
#[derive(Debug, Default)]
pub(super) struct Evictable {
    /// Each with the sweep in which its rest began.
    found: RefCell<VecDeque<(ConnectionKey, u32)>>,
    /// The number of the sweep before which none was found.
    none_in: Cell<u32>,
}

impl Evictable {
    /// The connection to evict first, if one has rested for long enough. `idle_reaper` is the
    /// number of the next sweep.
    pub(super) fn first(
        &self,
        open: &SlotMap<ConnectionKey, Entry>,
        sweep: u32,
    ) -> Option<ConnectionKey> {
        let mut found = self.found.borrow_mut();
        loop {
            match found.front() {
                Some(&(key, since)) if idle_since(open, key) == Some(since) => return Some(key),
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

/// In which sweep the connection began to rest, if it still rests and is not to end.
fn idle_since(open: &SlotMap<ConnectionKey, Entry>, key: ConnectionKey) -> Option<u32> {
    open.get(key).and_then(Entry::idle_since)
}

fn find(open: &SlotMap<ConnectionKey, Entry>, sweep: u32) -> VecDeque<(ConnectionKey, u32)> {
    let resting = open.iter().filter_map(|(key, entry)| {
        let since = entry.idle_since()?;
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

/// How many connections one look finds. Arbitrary: a look at 10,000 connections costs each of so
/// many new ones some hundred nanoseconds.
const FOUND_MAX: usize = 256;
