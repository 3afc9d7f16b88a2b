//! A connection's idle time between two requests: since when it is idle, and why it is to close.
//!
//! To become idle costs one store: no timer, no stack. The shard's sweeps measure the time, see
//! `server/idle_reaper.rs`. The server records here why an idle connection is to close, and wakes
//! the connection's fiber, which checks this before it becomes idle again. A request that comes at
//! that moment is still served.

use std::cell::Cell;

/// Whether a connection is idle.
pub(crate) struct IdleState {
    /// In which sweep of its shard the connection became idle; 0 while it is active.
    since: Cell<u32>,
    end: Cell<Option<IdleEnd>>,
}

/// Why an idle connection is to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdleEnd {
    /// It was idle for too long.
    Expired,
    /// A new connection needs its place.
    Evicted,
}

impl IdleState {
    pub(super) fn new() -> Self {
        Self { since: Cell::new(0), end: Cell::new(None) }
    }

    /// The connection is idle from now on, or has been since the sweep `sweep`.
    #[inline]
    pub(crate) fn begin(&self, sweep: u32) {
        self.since.set(sweep);
    }

    /// The connection is active again. Returns in which sweep it became idle, if it was idle.
    #[inline]
    pub(crate) fn resume(&self) -> Option<u32> {
        Some(self.since.replace(0)).filter(|&since| since != 0)
    }

    /// In which sweep of its shard the connection became idle; `None` while it is active.
    pub(crate) fn since(&self) -> Option<u32> {
        Some(self.since.get()).filter(|&since| since != 0)
    }

    /// The idle connection is to close.
    pub(super) fn set_end(&self, why: IdleEnd) {
        self.end.set(Some(why));
    }

    /// Why the idle connection is to close, if it is.
    #[inline]
    pub(crate) fn end(&self) -> Option<IdleEnd> {
        self.end.get()
    }

    /// A request has come after all: the connection does not close.
    pub(crate) fn clear_end(&self) {
        self.end.set(None);
    }
}
