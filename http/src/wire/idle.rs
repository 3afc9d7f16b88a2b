//! A connection's rest between two requests: since when it lasts, and what is to end it.
//!
//! A rest costs one store: no timer, no stack. The shard's sweeps count, see
//! `server/idle_reaper.rs`; a reason to end is noted here by the server, and the connection's
//! fiber, which is woken for it, finds it before it rests again. A request that comes in that
//! moment is served all the same.

use std::cell::Cell;

/// Whether a connection rests.
pub(crate) struct IdleState {
    /// In which sweep of its shard the rest began; 0 while the connection works.
    since: Cell<u32>,
    end: Cell<Option<IdleEnd>>,
}

/// Why a connection is not to rest any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdleEnd {
    /// It took too long.
    Expired,
    /// A newcomer needs the place.
    Evicted,
}

impl IdleState {
    pub(super) fn new() -> Self {
        Self { since: Cell::new(0), end: Cell::new(None) }
    }

    /// The connection rests from now on, or has done so since that sweep.
    #[inline]
    pub(crate) fn begin(&self, sweep: u32) {
        self.since.set(sweep);
    }

    /// The connection works again. In which sweep its rest began, if it rested.
    #[inline]
    pub(crate) fn resume(&self) -> Option<u32> {
        Some(self.since.replace(0)).filter(|&since| since != 0)
    }

    /// In which sweep of its shard the rest began; `None` while the connection works.
    pub(crate) fn since(&self) -> Option<u32> {
        Some(self.since.get()).filter(|&since| since != 0)
    }

    /// The rest is to end, and the connection with it.
    pub(super) fn set_end(&self, why: IdleEnd) {
        self.end.set(Some(why));
    }

    /// Why the rest is to end, if it is.
    #[inline]
    pub(crate) fn end(&self) -> Option<IdleEnd> {
        self.end.get()
    }

    /// A request has come after all: the connection is not to end for its rest.
    pub(crate) fn clear_end(&self) {
        self.end.set(None);
    }
}
