//! Which connection is closed to make room for a new one: the one that has been idle longest.
//!
//! Otherwise clients that only hold a connection would keep all other clients out. Only idle
//! connections are closed: they lose nothing but their place. They must also have been idle for at
//! least the interval between two sweeps. So new clients do not drive out clients that send
//! requests all the time.
//!
//! A connection records only in which sweep it became idle (see `idle_reaper`). The search for the
//! connections that have been idle longest looks at all connections, so each search finds many of
//! them. If a search finds none, the next search is after the next sweep: before that, no
//! connection can have been idle for long enough.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use slotmap::SlotMap;

use super::entry::{ConnectionKey, Entry};

/// Connections that may be evicted, those that have been idle longest first.
#[derive(Debug, Default)]
pub(super) struct Evictable {
    /// Each with the sweep in which it became idle.
    found: RefCell<VecDeque<(ConnectionKey, u32)>>,
    /// The number of the sweep before which no connection was found.
    none_before: Cell<u32>,
}

impl Evictable {
    /// The connection to evict first, if one has been idle for long enough. `sweep` is the number
    /// of the next sweep.
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
                None if self.none_before.get() == sweep => return None,
                None => {
                    *found = find(open, sweep);
                    if found.is_empty() {
                        self.none_before.set(sweep);
                    }
                }
            }
        }
    }
}

/// In which sweep the connection became idle, if it is still idle and is not to close.
fn idle_since(open: &SlotMap<ConnectionKey, Entry>, key: ConnectionKey) -> Option<u32> {
    open.get(key).and_then(Entry::idle_since)
}

fn find(open: &SlotMap<ConnectionKey, Entry>, sweep: u32) -> VecDeque<(ConnectionKey, u32)> {
    let idle = open.iter().filter_map(|(key, entry)| {
        let since = entry.idle_since()?;
        (sweep.saturating_sub(since) >= SWEEPS_LEAST).then_some((key, since))
    });
    let mut found: Vec<_> = idle.collect();
    if found.len() > FOUND_MAX {
        found.select_nth_unstable_by_key(FOUND_MAX, |&(_, since)| since);
        found.truncate(FOUND_MAX);
    }
    found.sort_unstable_by_key(|&(_, since)| since);
    found.into()
}

/// Two sweep numbers later, one whole interval has passed.
const SWEEPS_LEAST: u32 = 2;

/// How many connections one search finds. Arbitrary: a search in 10,000 connections then costs some
/// hundred nanoseconds for each connection that it finds.
const FOUND_MAX: usize = 256;
