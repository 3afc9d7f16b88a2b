//! How much the fibers may do before others have their turn: the other fibers, and what is new.
//!
//! A fiber has a budget for each of its turns. All of them together have one between two looks
//! outside, which is counted in beats of the pulse, and ends in a turn in which no fiber has run.

use std::cell::Cell;

pub(crate) struct Fairness {
    /// What the running fiber may still do without waiting before it yields.
    budget: Cell<u32>,
    /// The pulse when the driver and the mailbox were last asked.
    looked_at: Cell<u64>,
    /// No fiber has run since then, or since the last question whether they may go on.
    is_idle: Cell<bool>,
}

impl Fairness {
    /// A fiber is about to run.
    #[inline]
    pub(super) fn begin_turn(&self) {
        self.is_idle.set(false);
        self.budget.set(BUDGET);
    }

    /// Whether the running fiber has had its share. `is_late` is asked now and then whether it has
    /// had the thread for too long.
    #[inline]
    pub(super) fn is_share_spent(&self, is_late: impl FnOnce() -> bool) -> bool {
        let left = self.budget.get();
        let spent = left == 0 || left % CLOCK_EVERY == 1 && is_late();
        if !spent {
            self.budget.set(left - 1);
        }
        spent
    }

    /// Whether the fibers that are ready may go on without a look outside. Each answer counts as a
    /// turn.
    #[inline]
    pub(super) fn may_go_on(&self, beats: u64) -> bool {
        beats - self.looked_at.get() < BEATS_MAX && !self.is_idle.replace(true)
    }

    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.get()
    }

    /// The shard looks outside now; returns whether a fiber has run since it last did.
    #[inline]
    pub(super) fn note_look(&self, beats: u64) -> bool {
        self.is_idle.set(true);
        self.looked_at.replace(beats) != beats
    }
}

impl Default for Fairness {
    fn default() -> Self {
        Self { budget: Cell::new(BUDGET), looked_at: Cell::new(0), is_idle: Cell::new(true) }
    }
}

/// How many operations may succeed in a row before the fiber yields. Arbitrary: at about 1 µs an
/// operation it keeps the others waiting for a tenth of a millisecond.
const BUDGET: u32 = 128;

/// Every so many operations without a wait the clock is looked at.
const CLOCK_EVERY: u32 = 16;

/// For how long a busy run queue may keep the shard from looking outside: 128 fibers' turns, at two
/// beats each, or one round of the queue if that is longer. Arbitrary: at about 1 µs a turn it
/// keeps an event waiting for a tenth of a millisecond.
const BEATS_MAX: u64 = 256;
