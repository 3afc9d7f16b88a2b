//! An ordered queue of the fibers that have a timer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::fiber::{FiberCell, FiberKey, Tick};

/// The timers of a shard's fibers. `Bounds::timer` has the time of each, and only this type sets
/// it.
pub(crate) struct FiberTimers {
    timers: RefCell<Timers<FiberKey>>,
    /// The time of the first of them, which each turn asks for; `NEVER` if there is none.
    next_at: Cell<Tick>,
}

impl FiberTimers {
    /// Sets the fiber's timer to fire at `at`; returns the length of the queue.
    #[inline]
    pub(super) fn set(&self, fiber: &FiberCell, at: Tick) -> usize {
        let set = fiber.bounds.timer();
        let mut timers = self.timers.borrow_mut();
        if set != Tick::NEVER {
            timers.remove(set, fiber.key);
        }
        timers.insert(at, fiber.key);
        fiber.bounds.set_timer(at);
        self.next_at.set(timers.next_at());
        timers.len()
    }

    /// Removes the fiber from the queue. If it was there, returns how many are left.
    #[inline]
    pub(super) fn clear(&self, fiber: &FiberCell) -> Option<usize> {
        let at = fiber.bounds.timer().ever()?;
        fiber.bounds.set_timer(Tick::NEVER);
        let mut timers = self.timers.borrow_mut();
        timers.remove(at, fiber.key);
        self.next_at.set(timers.next_at());
        Some(timers.len())
    }

    /// Removes the next timer that is due. The caller tells the fiber that it has none any more.
    pub(super) fn pop_due(&self, now: Tick) -> Option<(Tick, FiberKey)> {
        let mut timers = self.timers.borrow_mut();
        let due = timers.pop_due(now);
        self.next_at.set(timers.next_at());
        due
    }

    /// When the first timer is due; [`Tick::NEVER`] if there is none.
    #[inline]
    pub(crate) fn next_at(&self) -> Tick {
        self.next_at.get()
    }

    pub(super) fn len(&self) -> usize {
        self.timers.borrow().len()
    }
}

impl Default for FiberTimers {
    fn default() -> Self {
        Self { timers: RefCell::default(), next_at: Cell::new(Tick::NEVER) }
    }
}

/// The fibers in the order of their times, the earliest first.
struct Timers<K> {
    entries: BTreeSet<(Tick, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    fn insert(&mut self, at: Tick, key: K) {
        self.entries.insert((at, key));
    }

    fn remove(&mut self, at: Tick, key: K) {
        self.entries.remove(&(at, key));
    }

    /// The next entry that is due at `now`, earliest first.
    fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        let first = self.entries.first()?;
        if first.0 > now {
            return None;
        }
        self.entries.pop_first()
    }

    fn next_at(&self) -> Tick {
        self.entries.first().map_or(Tick::NEVER, |entry| entry.0)
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Compares with a list that is sorted anew for each question.
        fn timers_fire_in_order_and_only_when_due(operations: Vec<(u8, u8)>) -> bool {
            let start = Instant::now();
            let at = |ms: u8| Tick::of(start + Duration::from_millis(ms.into()), start);
            let mut timers = Timers::default();
            let mut model: Vec<(Tick, u64)> = Vec::new();
            for (number, (kind, ms)) in (0_u64..).zip(operations) {
                match kind % 4 {
                    0 | 1 => {
                        timers.insert(at(ms), number);
                        model.push((at(ms), number));
                        model.sort_unstable();
                    }
                    2 => {
                        let due = timers.pop_due(at(ms));
                        let expected = model.first().filter(|first| first.0 <= at(ms)).copied();
                        if expected.is_some() {
                            model.remove(0);
                        }
                        if due != expected {
                            return false;
                        }
                    }
                    _ => {
                        if !model.is_empty() {
                            let (at, key) = model.remove(usize::from(ms) % model.len());
                            timers.remove(at, key);
                        }
                    }
                }
                if timers.next_at().ever() != model.first().map(|first| first.0)
                    || timers.len() != model.len()
                {
                    return false;
                }
            }
            true
        }
    }
}
