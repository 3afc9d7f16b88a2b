//! Sleeping: fibers ordered by the time they asked to be woken at.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, Wait};

/// Who is to be woken when. Equal times are told apart by order of arrival.
pub(crate) struct Timers<T> {
    entries: BTreeMap<TimerKey, T>,
    arrivals: u64,
}

pub(crate) type TimerKey = (Instant, u64);

impl<T> Timers<T> {
    pub(crate) fn insert(&mut self, at: Instant, value: T) -> TimerKey {
        let key = (at, self.arrivals);
        self.arrivals += 1;
        self.entries.insert(key, value);
        key
    }

    pub(crate) fn remove(&mut self, key: TimerKey) {
        self.entries.remove(&key);
    }

    /// Removes every entry whose value is such; takes time in proportion to all of them.
    pub(crate) fn remove_where(&mut self, is_such: impl Fn(&T) -> bool) {
        self.entries.retain(|_, value| !is_such(value));
    }

    /// The next entry that is due at `now`, earliest first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.entries.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(key, _)| key.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), arrivals: 0 }
    }
}

/// Removes its timer, also when the wait ends by unwinding.
pub(crate) struct TimerGuard<'s> {
    timers: &'s std::cell::RefCell<Timers<Rc<FiberCell>>>,
    key: TimerKey,
    pub(crate) at: Instant,
}

impl Drop for TimerGuard<'_> {
    fn drop(&mut self) {
        self.timers.borrow_mut().remove(self.key);
    }
}

impl Shard {
    /// Wakes the running fiber when `timeout` has passed, unless the guard is dropped before.
    pub(crate) fn set_timer(&self, timeout: Duration) -> TimerGuard<'_> {
        // The clock is read anew: the turn's reading may be older than the fiber's last work.
        let now = self.driver.now();
        self.set_timer_at(now.checked_add(timeout).unwrap_or(now + FAR_FUTURE))
    }

    /// As [`set_timer`](Self::set_timer), by the clock.
    pub(crate) fn set_timer_at(&self, at: Instant) -> TimerGuard<'_> {
        let key = self.timers.borrow_mut().insert(at, self.current());
        TimerGuard { timers: &self.timers, key, at }
    }
}

/// Waits for at least `duration`; other fibers run meanwhile.
///
/// A yield point. Returns at once in a fiber that unwinds.
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
        let timer = shard.set_timer(duration);
        while shard.now.get() < timer.at {
            if shard.park(Wait::Time).is_err() {
                return;
            }
        }
    });
}

/// What a duration beyond the clock's range means. Arbitrary; nobody waits it out.
const FAR_FUTURE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Against a list that is sorted afresh for each question.
        fn timers_fire_in_order_and_only_when_due(operations: Vec<(u8, u8)>) -> bool {
            let start = Instant::now();
            let at = |ms: u8| start + Duration::from_millis(ms.into());
            let mut timers = Timers::default();
            let mut model: Vec<(Instant, u64)> = Vec::new();
            for (number, (kind, ms)) in (0_u64..).zip(operations) {
                match kind % 4 {
                    0 | 1 => {
                        let key = timers.insert(at(ms), number);
                        model.push((key.0, number));
                        model.sort_unstable();
                    }
                    2 => {
                        let due = timers.pop_due(at(ms));
                        let expected = model.first().filter(|first| first.0 <= at(ms)).copied();
                        if expected.is_some() {
                            model.remove(0);
                        }
                        if due != expected.map(|entry| entry.1) {
                            return false;
                        }
                    }
                    _ => {
                        let keys: Vec<_> = timers.entries.keys().copied().collect();
                        if !keys.is_empty() {
                            let index = usize::from(ms) % keys.len();
                            timers.remove(keys[index]);
                            model.remove(index);
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
