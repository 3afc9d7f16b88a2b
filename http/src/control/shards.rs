//! The shards of a server: a slot for each shard that has not ended, and the sums of those that
//! have.
//!
//! The counts of all shards together never decrease: a slot leaves the table in the same step in
//! which its numbers are added to the sums.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use straightline_sched::sync::mpsc;
use straightline_sched::{FiberInfo, Stats};

use super::slot::Slot;
use crate::config::Config;
use crate::telemetry::{Counters, Latencies, RouteNumbers};

/// The shards of a server.
pub(crate) struct Shards {
    slots: RwLock<Slots>,
    /// How many threads the server may have.
    max_threads: usize,
    /// How many connections are open. A shard that retires may take its connections out of the sum
    /// before the last of them has come in: so it may be negative for a moment.
    open: AtomicI64,
    /// How many requests may be in flight.
    in_flight_max: u64,
    /// Whether there are more connections than requests may be in flight. Each connection has one
    /// request in flight at most.
    is_crowded: AtomicBool,
}

#[derive(Default)]
struct Slots {
    live: Vec<Arc<Slot>>,
    /// How many slots were made so far: the number of the next slot.
    made: usize,
    past: Counters,
    past_latencies: Latencies,
    past_routes: BTreeMap<&'static str, RouteNumbers>,
}

impl Shards {
    /// With `workers` slots.
    pub(crate) fn new(workers: usize, config: &Config) -> Self {
        let shards = Self {
            slots: RwLock::default(),
            max_threads: workers.saturating_add(config.replacements),
            open: AtomicI64::new(0),
            in_flight_max: config.capacity.in_flight as u64,
            is_crowded: AtomicBool::new(false),
        };
        (0..workers).for_each(|_| drop(shards.add(false)));
        shards
    }

    /// Makes a slot for one more shard.
    pub(crate) fn add(&self, is_spare: bool) -> Arc<Slot> {
        let mut slots = self.slots.write();
        let slot = Arc::new(Slot::new(slots.made, is_spare));
        slots.made += 1;
        slots.live.push(Arc::clone(&slot));
        slot
    }

    /// The thread of a shard has ended: only its numbers are kept.
    pub(crate) fn forget(&self, slot: &Slot) {
        // Nothing else closes the connections of fibers that were abandoned.
        slot.streams.shut_down();
        self.leave_sum(slot);
        let mut slots = self.slots.write();
        let before = slots.live.len();
        slots.live.retain(|live| live.index != slot.index);
        if slots.live.len() < before {
            slot.counters.add_to(&mut slots.past);
            slot.latencies.add_to(&mut slots.past_latencies);
            slot.routes.add_to(&mut slots.past_routes);
        }
    }

    /// The shard is to end as soon as it can; its connections do not count any more.
    pub(crate) fn retire(&self, slot: &Slot) {
        slot.record_retired();
        self.leave_sum(slot);
    }

    fn leave_sum(&self, slot: &Slot) {
        self.add_open(slot.leave_sum().cast_signed().wrapping_neg());
    }

    /// The slots of all shards that have not ended.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.read().live.clone()
    }

    /// Whether one more shard may be started.
    pub(crate) fn may_grow(&self) -> bool {
        self.threads() < self.max_threads
    }

    fn threads(&self) -> usize {
        self.count(|_| true)
    }

    /// How many shards are stuck.
    pub(crate) fn stuck(&self) -> usize {
        self.count(Slot::is_stuck)
    }

    /// How many shards are busy, or were until a moment ago.
    pub(crate) fn busy(&self) -> usize {
        self.count(Slot::is_busy)
    }

    /// Whether all shards that have not ended are stuck.
    pub(crate) fn are_all_stuck(&self) -> bool {
        self.count(|slot| slot.is_active() && !slot.is_stuck()) == 0
    }

    fn count(&self, is: impl Fn(&Slot) -> bool) -> usize {
        let slots = self.slots.read();
        let counted = |slot: &&Arc<Slot>| !slot.has_ended() && is(slot);
        slots.live.iter().filter(counted).count()
    }

    pub(crate) fn counters(&self) -> Counters {
        let slots = self.slots.read();
        let mut sum = slots.past;
        slots.live.iter().for_each(|slot| slot.counters.add_to(&mut sum));
        sum
    }

    pub(crate) fn latencies(&self) -> Latencies {
        let slots = self.slots.read();
        let mut sum = slots.past_latencies.clone();
        slots.live.iter().for_each(|slot| slot.latencies.add_to(&mut sum));
        sum
    }

    pub(crate) fn routes(&self) -> BTreeMap<&'static str, RouteNumbers> {
        let slots = self.slots.read();
        let mut sums = slots.past_routes.clone();
        slots.live.iter().for_each(|slot| slot.routes.add_to(&mut sums));
        sums
    }

    /// The numbers of each scheduler that runs, with the number of its shard.
    pub(crate) fn stats(&self) -> Vec<(usize, Stats)> {
        let slots = self.all();
        let stats = slots.iter().filter_map(|slot| Some((slot.index, slot.scheduler()?.stats())));
        stats.collect()
    }

    /// How many connections are open. Those of a retired shard do not count, here and below: they
    /// were shut down, but may never be closed.
    #[inline]
    pub(crate) fn connections(&self) -> u64 {
        self.open.load(Ordering::SeqCst).try_into().unwrap_or(0)
    }

    /// The shard has opened a connection.
    pub(crate) fn record_opened(&self, slot: &Slot) {
        if slot.count(true) {
            self.add_open(1);
        }
    }

    /// A connection that the shard had opened is closed.
    pub(crate) fn record_closed(&self, slot: &Slot) {
        if slot.count(false) {
            self.add_open(-1);
        }
    }

    /// Changes the sum of the open connections, and updates `is_crowded`.
    fn add_open(&self, count: i64) {
        self.open.fetch_add(count, Ordering::SeqCst);
        loop {
            let now = self.connections() > self.in_flight_max;
            if self.is_crowded.load(Ordering::SeqCst) == now {
                return;
            }
            // Then it looks again: two shards that store together must not leave the wrong value.
            self.is_crowded.store(now, Ordering::SeqCst);
        }
    }

    /// Whether more requests are in flight than the limit allows.
    #[inline]
    pub(crate) fn are_overloaded(&self) -> bool {
        // To sum over all shards for each request would be slow, and is hardly ever needed.
        self.is_crowded.load(Ordering::Relaxed) && self.are_overloaded_in_all()
    }

    #[cold]
    fn are_overloaded_in_all(&self) -> bool {
        self.in_flight() > self.in_flight_max
    }

    /// How many requests are in flight and do not wait for their client.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sum(|slot| {
            let awaiting = slot.counters.awaiting_client.get();
            slot.counters.in_flight.get().saturating_sub(awaiting)
        })
    }

    fn sum(&self, of: impl Fn(&Slot) -> u64) -> u64 {
        let slots = self.slots.read();
        let counting = slots.live.iter().filter(|slot| !slot.is_retired());
        counting.map(|slot| of(slot)).sum()
    }

    /// Asks each shard that is not stuck for a sign. Each answers in its next turn.
    pub(crate) fn ask(&self) -> mpsc::Receiver<()> {
        let (sender, signs) = mpsc::unbounded();
        for shard in self.all().iter().filter(|slot| !slot.is_stuck()).filter_map(|s| s.scheduler())
        {
            let sender = sender.clone();
            // A shard that has ended gives no sign.
            let _ = shard.spawn(move || {
                // The asker may have left.
                let _ = sender.try_send(());
            });
        }
        signs
    }

    /// The number of each shard, and its fibers.
    pub(crate) fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<(usize, io::Result<Vec<FiberInfo>>)> {
        // Not under the lock: a shard may answer late.
        let shards = self.all().into_iter();
        let shards = shards.filter_map(|slot| Some((slot.index, slot.scheduler()?)));
        shards.map(|(index, shard)| (index, shard.inspect(backtraces_max, timeout))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shard_has_counted_stays_and_its_slot_does_not() {
        let shards = Shards::new(1, &Config::default());
        for number in 1..=10 {
            let slot = shards.add(true);
            assert_eq!((slot.index, shards.threads()), (number, 2));
            (0..3).for_each(|_| shards.record_opened(&slot));
            shards.record_closed(&slot);
            assert_eq!(shards.connections(), 2);
            if number % 2 == 0 {
                shards.retire(&slot);
                shards.record_closed(&slot); // it does not count any more
                shards.record_opened(&slot);
                assert_eq!(shards.connections(), 0);
            }
            slot.counters.accepted.add(3);
            slot.counters.closed.add(3);
            slot.latencies.record(Duration::from_millis(1), 5);
            slot.record_ended();
            // A shard may be forgotten twice.
            (0..2).for_each(|_| shards.forget(&slot));
            let (counters, count) = (shards.counters(), number as u64);
            assert_eq!((counters.accepted, counters.closed), (3 * count, 3 * count));
            assert_eq!(shards.latencies().count(), 5 * count);
            assert_eq!((shards.all().len(), shards.connections()), (1, 0));
        }
    }
}
