//! What `select` asks of the things it waits for.
//!
//! A *watcher* is a `select` in progress. It registers with each of its things, under the lock of
//! each, and is woken when one may have become ready. It takes nothing: a thing wakes a plain
//! waiter as if no watcher were there, and all watchers besides, so none of them can swallow the
//! wake-up of another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::waiter::{Waiter, Wakes};

/// The watchers of one thing. A wake-up removes all of them; a watcher that goes on watching
/// registers again.
///
/// A channel has one watcher at most, usually. A flag that ends all streams of a server has tens of
/// thousands, and each of them registers and leaves at each of its events.
#[derive(Default)]
pub(crate) struct Watchers {
    /// The first watcher needs no allocation.
    first: Option<Watcher>,
    others: BTreeMap<u64, Waiter>,
}

/// A `select` in progress.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Unique in the process.
    id: u64,
    waiter: Waiter,
}

/// The private half of [`Selectable`](super::Selectable).
pub trait Watch {
    /// Returns true if the thing is ready. Otherwise has the watcher woken when it may be.
    fn watch(&self, watcher: &Watcher) -> bool;

    /// Forgets the watcher, after a [`watch`](Self::watch) that returned false.
    fn unwatch(&self, watcher: &Watcher);

    /// When the thing becomes ready by itself.
    fn due(&self) -> Option<Instant> {
        None
    }
}

impl Watcher {
    /// For the calling fiber or thread.
    pub(super) fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), waiter: Waiter::current() }
    }

    pub(super) fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

impl Watchers {
    pub(crate) const fn new() -> Self {
        Self { first: None, others: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, watcher: &Watcher) {
        match &self.first {
            None => self.first = Some(watcher.clone()),
            // One `select` may name the same thing twice.
            Some(first) if first.id == watcher.id => {}
            Some(_) => drop(self.others.insert(watcher.id, watcher.waiter.clone())),
        }
    }

    pub(crate) fn remove(&mut self, watcher: &Watcher) {
        match &self.first {
            Some(first) if first.id == watcher.id => self.first = None,
            _ => drop(self.others.remove(&watcher.id)),
        }
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.first.take().into_iter().for_each(|first| wakes.push(first.waiter));
        std::mem::take(&mut self.others).into_values().for_each(|waiter| wakes.push(waiter));
    }
}
