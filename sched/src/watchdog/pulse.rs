//! A shard's sign of life.

use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the shard's thread at each switch, read by the monitor.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Grows at each switch into a fiber and out of it: odd while a fiber runs.
    beats: AtomicU64,
    /// Grows each time that the shard has polled its driver, its mailbox and its timers.
    turns: AtomicU64,
    /// Written by the monitor: how often a fiber kept the thread for too long.
    stalls: AtomicU64,
}

impl Pulse {
    /// Called by the shard's thread only, so it is a plain load and store.
    #[inline]
    pub(crate) fn beat(&self) {
        self.beats.store(self.beats.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Called by the shard's thread only, as `beat`.
    #[inline]
    pub(crate) fn turn(&self) {
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn count_stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// How often a fiber was given the thread.
    pub(crate) fn resumes(&self) -> u64 {
        self.beats().div_ceil(2)
    }
}
