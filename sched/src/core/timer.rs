//! Time: when a fiber has to be woken that nothing else wakes.
//!
//! Each fiber stands in the queue at most once, with its *alarm*: the earlier of the end of its
//! timed wait and its deadline. The alarm is lazy. Taking a deadline away, or setting a later one,
//! leaves it where it is: when it goes off too early it is set anew. So a request that sets and
//! clears a deadline, as nearly all do, costs a comparison and not a change of the queue; the queue
//! changes once per deadline's length and connection.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::local;
use super::park::Unwinding;
use super::shard::Shard;
use crate::fiber::{FiberCell, FiberKey, Tick, Wait};

/// Who is to be woken when, earliest first.
pub(crate) struct Timers<K> {
    entries: BTreeSet<(Tick, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn insert(&mut self, at: Tick, key: K) {
        self.entries.insert((at, key));
    }

    pub(crate) fn remove(&mut self, at: Tick, key: K) {
        self.entries.remove(&(at, key));
    }

    /// The next entry that is due at `now`, earliest first.
    pub(crate) fn pop_due(&mut self, now: Tick) -> Option<(Tick, K)> {
        let first = self.entries.first()?;
        if first.0 > now {
            return None;
        }
        self.entries.pop_first()
    }

    pub(crate) fn next_at(&self) -> Option<Tick> {
        self.entries.first().map(|entry| entry.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl Shard {
    /// Has the fiber's alarm go off at `at` or before.
    pub(super) fn set_alarm(&self, fiber: &FiberCell, at: Tick) {
        let set = fiber.alarm.get();
        if set <= at {
            return;
        }
        let mut timers = self.timers.borrow_mut();
        if set != Tick::NEVER {
            timers.remove(set, fiber.key);
        }
        timers.insert(at, fiber.key);
        fiber.alarm.set(at);
        self.counters.alarms_now.set(timers.len() as u64);
    }

    /// Takes the fiber out of the queue.
    pub(super) fn clear_alarm(&self, fiber: &FiberCell) {
        if let Some(at) = fiber.alarm.replace(Tick::NEVER).ever() {
            let mut timers = self.timers.borrow_mut();
            timers.remove(at, fiber.key);
            self.counters.alarms_now.set(timers.len() as u64);
        }
    }

    /// Whether somebody's time has come.
    #[inline]
    pub(super) fn is_alarm_due(&self, now: Tick) -> bool {
        self.timers.borrow().next_at().is_some_and(|at| at <= now)
    }

    /// Wakes everybody whose time has come, in the order of their times.
    pub(super) fn ring_alarms(&self) {
        let now = self.tick.get();
        loop {
            let mut timers = self.timers.borrow_mut();
            let Some((alarm, key)) = timers.pop_due(now) else { return };
            self.counters.alarms_now.set(timers.len() as u64);
            drop(timers);
            let fiber = self.fibers.borrow().get(key).cloned();
            let Some(fiber) = fiber else { continue };
            fiber.alarm.set(Tick::NEVER);
            let wake_at = fiber.wake_at.get();
            let ends = [wake_at, fiber.renew_end()];
            if ends.iter().any(|at| *at <= alarm) {
                if wake_at <= alarm {
                    fiber.wake_at.set(Tick::NEVER);
                }
                self.wake(Rc::clone(&fiber));
            }
            // Its turn among the others comes again, perhaps in this very loop.
            if let Some(next) = ends.into_iter().filter(|at| *at > alarm).min() {
                self.set_alarm(&fiber, next);
            }
        }
    }

    /// As [`park`](Self::park), but at most until `at`.
    pub(crate) fn park_until(&self, wait: Wait, at: Tick) -> Result<(), Unwinding> {
        let fiber = self.current();
        fiber.wake_at.set(at);
        self.set_alarm(&fiber, at);
        let parked = self.park(wait);
        fiber.wake_at.set(Tick::NEVER);
        parked
    }

    /// As [`park_until`](Self::park_until), or without a limit; `has_come` as in
    /// [`park_fiber`](Self::park_fiber).
    pub(super) fn park_at_most(
        &self,
        wait: Wait,
        at: Option<Instant>,
        has_come: impl FnOnce() -> bool,
    ) -> Result<(), Unwinding> {
        let fiber = self.current();
        let Some(at) = at else { return self.park_fiber(&fiber, wait, has_come) };
        let at = self.tick_of(at);
        fiber.wake_at.set(at);
        self.set_alarm(&fiber, at);
        let parked = self.park_fiber(&fiber, wait, has_come);
        fiber.wake_at.set(Tick::NEVER);
        parked
    }

    /// The time of the turn.
    pub(super) fn now(&self) -> Instant {
        self.instant_of(self.tick.get())
    }

    /// The time now, which is later than the turn's.
    pub(super) fn clock(&self) -> Tick {
        Tick::from_nanos(self.driver.elapsed_nanos())
    }

    pub(super) fn tick_of(&self, at: Instant) -> Tick {
        Tick::of(at, self.driver.started_at())
    }

    pub(super) fn instant_of(&self, tick: Tick) -> Instant {
        tick.instant(self.driver.started_at())
    }

    /// The time in `timeout` from now. The clock is read anew: the turn's reading may be older
    /// than the fiber's last work.
    pub(crate) fn after(&self, timeout: Duration) -> Tick {
        self.clock().saturating_add(timeout)
    }
}

/// The shard's queue of alarms.
pub(crate) type Alarms = Timers<FiberKey>;

/// Waits for at least `duration`; other fibers run meanwhile.
///
/// # Blocking
///
/// A yield point. Returns at once in a fiber that unwinds.
///
/// # Cancellation
///
/// A cancel or a deadline ends the sleep by unwinding.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::time::{Duration, Instant};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let start = Instant::now();
///     sched::sleep(Duration::from_millis(2));
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn sleep(duration: Duration) {
    local::with(|shard| {
        let at = shard.after(duration);
        // At least once, so that it is a yield point for a duration of zero too.
        loop {
            if shard.park_until(Wait::Time, at).is_err() || shard.tick.get() >= at {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Against a list that is sorted afresh for each question.
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
                if timers.next_at() != model.first().map(|first| first.0)
                    || timers.len() != model.len()
                {
                    return false;
                }
            }
            true
        }
    }
}
