//! How much the fibers may do before the other fibers, and new events, have their turn.
//!
//! A fiber has a budget for each of its turns. All fibers together have one between two polls of
//! the driver, which is counted in beats of the pulse, and ends in a turn in which no fiber has
//! run.

use std::cell::Cell;

pub(crate) struct Fairness {
    /// How much the running fiber may still do without waiting before it yields.
    budget: Cell<u32>,
    /// The pulse when the driver and the mailbox were last polled.
    looked_at: Cell<u64>,
    /// A fiber has kept the thread for too long since then.
    is_late: Cell<bool>,
    /// No fiber has run since then, or since the last call of `may_go_on`.
    is_idle: Cell<bool>,
}

impl Fairness {
    /// A fiber is about to run.
    #[inline]
    pub(super) fn begin_turn(&self) {
        self.is_idle.set(false);
        self.budget.set(BUDGET);
    }

    /// Whether the running fiber has used up its share. Now and then it calls `is_late`, whether
    /// the fiber has kept the thread for too long.
    #[inline]
    pub(super) fn is_share_spent(&self, is_late: impl FnOnce() -> bool) -> bool {
        let left = self.budget.get();
        if left > 0 && left % CLOCK_EVERY != 1 {
            self.budget.set(left - 1);
            return false;
        }
        self.is_share_spent_at(left, is_late)
    }

    /// The same, where the clock is read or the budget is used up.
    #[cold]
    fn is_share_spent_at(&self, left: u32, is_late: impl FnOnce() -> bool) -> bool {
        if left % CLOCK_EVERY == 1 && is_late() {
            self.is_late.set(true);
            return true;
        }
        if left > 0 {
            self.budget.set(left - 1);
        }
        left == 0
    }

    /// Whether the ready fibers may go on before the driver is polled. Each call counts as a turn.
    /// Behind a fiber that has computed for long they may not: many such turns would add up.
    #[inline]
    pub(super) fn may_go_on(&self, beats: u64) -> bool {
        beats - self.looked_at.get() < BEATS_MAX
            && !self.is_late.get()
            && !self.is_idle.replace(true)
    }

    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.get()
    }

    /// The shard polls its driver now; returns whether a fiber has run since the last poll.
    #[inline]
    pub(super) fn record_look(&self, beats: u64) -> bool {
        self.is_idle.set(true);
        self.is_late.set(false);
        self.looked_at.replace(beats) != beats
    }
}

impl Default for Fairness {
    fn default() -> Self {
        Self {
            budget: Cell::new(BUDGET),
            looked_at: Cell::new(0),
            is_late: Cell::new(false),
            is_idle: Cell::new(true),
        }
    }
}

/// How many operations may succeed in a row before the fiber yields. Arbitrary: at about 1 µs an
/// operation the other fibers wait for a tenth of a millisecond.
const BUDGET: u32 = 128;

/// After that many operations without a wait the clock is read.
const CLOCK_EVERY: u32 = 16;

/// How long a busy run queue may keep the shard from polling its driver: 128 turns of fibers, at
/// two beats each, or one round of the queue if that is longer. Arbitrary: at about 1 µs a turn an
/// event waits for a tenth of a millisecond.
const BEATS_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_polled_behind_a_turn_that_took_too_long() {
        let fairness = Fairness::default();
        fairness.begin_turn();
        assert!(fairness.may_go_on(2), "a short turn");
        fairness.begin_turn();
        let spent_at = (1..=BUDGET).find(|_| fairness.is_share_spent(|| true));
        assert!(spent_at.is_some_and(|count| count <= CLOCK_EVERY), "{spent_at:?}");
        assert!(!fairness.may_go_on(4));
        fairness.record_look(4);
        fairness.begin_turn();
        assert!(fairness.may_go_on(6));
    }
}
