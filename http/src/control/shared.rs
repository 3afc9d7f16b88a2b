//! What the shards, the handles, the signals and the watch of a server have in common.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use straightline_sched::{FiberInfo, Stats, clock};

use super::loans::Loans;
use super::memory::Memory;
use super::peers::PeerCounts;
use super::slot::Slot;
use super::socket_file::SocketFile;
use crate::config::{Address, Config, Phase};
use crate::telemetry::{AccessLog, Counters, Event, Latencies, Observers};

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) observers: Observers,
    pub(crate) local: Vec<Address>,
    /// How many shards there are meant to be.
    pub(crate) workers: usize,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    slots: RwLock<Slots>,
    /// Which shards accept for which others.
    pub(crate) loans: Loans,
    /// How many stuck shards were replaced.
    pub(crate) replacements: AtomicU64,
    pub(crate) peers: PeerCounts,
    pub(crate) memory: Arc<Memory>,
    /// There are more connections than requests may be in flight.
    is_crowded: AtomicBool,
    /// A [`Phase`]; it only grows.
    phase: AtomicU8,
    /// When the end began.
    pub(crate) ends_since: Mutex<Option<Instant>>,
    /// Fibers that went on after they had been cancelled, and were given up.
    pub(crate) given_up: AtomicU64,
    /// Those of its Unix sockets, until the port closes.
    pub(crate) socket_files: Mutex<Vec<SocketFile>>,
    /// Why it has no listener any more.
    pub(crate) failure: Mutex<Option<io::Error>>,
}

/// The shards, those that are over as sums only.
#[derive(Default)]
struct Slots {
    live: Vec<Arc<Slot>>,
    /// How many there were so far, which is the number of the next one.
    made: usize,
    past: Counters,
    past_latencies: Latencies,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        observers: Observers,
        local: Vec<Address>,
        workers: usize,
        access_log: Option<Arc<AccessLog>>,
    ) -> Arc<Self> {
        let memory = Memory::new(config.capacity.memory_bytes);
        let shared = Self {
            config,
            observers,
            local,
            workers,
            access_log,
            slots: RwLock::default(),
            loans: Loans::default(),
            replacements: AtomicU64::new(0),
            peers: PeerCounts::default(),
            memory,
            is_crowded: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Serving as u8),
            ends_since: Mutex::new(None),
            given_up: AtomicU64::new(0),
            socket_files: Mutex::default(),
            failure: Mutex::new(None),
        };
        (0..workers).for_each(|_| drop(shared.add_slot(false)));
        Arc::new(shared)
    }

    /// A place for one more shard.
    pub(crate) fn add_slot(&self, is_spare: bool) -> Arc<Slot> {
        let mut slots = self.slots.write();
        let slot = Arc::new(Slot::new(slots.made, is_spare));
        slots.made += 1;
        slots.live.push(Arc::clone(&slot));
        slot
    }

    /// The thread of a shard is over: what it has counted stays, and nothing else.
    pub(crate) fn forget(&self, slot: &Slot) {
        // Of fibers that were given up: nobody else closes them.
        slot.streams.shut_down();
        let mut slots = self.slots.write();
        let before = slots.live.len();
        slots.live.retain(|live| live.index != slot.index);
        if slots.live.len() < before {
            slot.counters.add_to(&mut slots.past);
            slot.latencies.add_to(&mut slots.past_latencies);
        }
    }

    /// Those that are not over.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().live.clone()
    }

    /// One step further to the end: the first call begins it, the next one cuts it short.
    pub(crate) fn shutdown(&self) {
        match self.phase() {
            Phase::Serving if !self.config.ready_delay.is_zero() => self.advance(Phase::Unready),
            Phase::Serving => self.advance(Phase::Draining),
            Phase::Unready | Phase::Draining | Phase::Cutting => self.advance(Phase::Cutting),
        }
    }

    /// At least so far, and at most once so.
    pub(crate) fn advance(&self, to: Phase) {
        let before = self.phase.fetch_max(to as u8, Ordering::SeqCst);
        if before >= to as u8 {
            return;
        }
        self.ends_since.lock().get_or_insert_with(clock);
        self.observers.emit(&Event::ShutdownAdvanced { phase: to });
        if to >= Phase::Draining {
            self.remove_socket_files();
        }
        for slot in self.slots() {
            if to >= Phase::Draining {
                // The port closes with the last of them.
                slot.close_copies();
            }
            slot.wake();
        }
    }

    pub(crate) fn shutdown_if_serving(&self) {
        if self.phase() <= Phase::Unready {
            self.advance(Phase::Draining);
        }
    }

    /// Nobody new finds the way to its Unix sockets.
    pub(crate) fn remove_socket_files(&self) {
        let files = mem::take(&mut *self.socket_files.lock());
        drop(files); // when nothing is locked
    }

    /// One of that shard's listeners is over. Without any other the server is, too.
    pub(crate) fn listener_failed(&self, slot: &Slot, address: &Address, error: &io::Error) {
        slot.lose_listener();
        let is_left = self.slots().iter().any(|slot| slot.has_listener());
        if is_left || self.phase() >= Phase::Draining {
            return;
        }
        let message = format!("no listener is left; the last was on {address}: {error}");
        self.failure.lock().get_or_insert(io::Error::new(error.kind(), message));
        self.shutdown_if_serving();
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Unready,
            2 => Phase::Draining,
            _ => Phase::Cutting,
        }
    }

    /// How many shards do not answer.
    pub(crate) fn stuck(&self) -> usize {
        self.count(|slot| slot.is_stuck.load(Ordering::SeqCst))
    }

    /// How many do not ask for what is new, or did not until a moment ago.
    pub(crate) fn busy(&self) -> usize {
        self.count(|slot| slot.is_busy.load(Ordering::SeqCst))
    }

    /// Whether there are shards, and none of them answers.
    pub(crate) fn are_all_stuck(&self) -> bool {
        self.count(|slot| slot.is_there() && !slot.is_stuck.load(Ordering::SeqCst)) == 0
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.count(|_| true)
    }

    /// How many there may be.
    pub(crate) fn threads_max(&self) -> usize {
        self.workers.saturating_add(self.config.replacements)
    }

    fn count(&self, is: impl Fn(&Slot) -> bool) -> usize {
        let slots = self.slots.read();
        let counted = |slot: &&Arc<Slot>| !slot.has_ended.load(Ordering::SeqCst) && is(slot);
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

    /// Of each scheduler that runs, with the number of its shard.
    pub(crate) fn shard_stats(&self) -> Vec<(usize, Stats)> {
        let slots = self.slots();
        let stats = slots.iter().filter_map(|slot| Some((slot.index, slot.scheduler()?.stats())));
        stats.collect()
    }

    /// Connections that are open. Those of a shard that was replaced are shut down, and may never
    /// be closed: they take no room from others, here and below.
    pub(crate) fn connections(&self) -> u64 {
        self.sum(Slot::connections)
    }

    /// A connection has come or gone: each has one request in flight at most.
    pub(crate) fn note_crowd(&self) {
        loop {
            // What this shard has counted is seen by all others before the flag is looked at: two
            // of them may be at it, and the second undo what the first has found out.
            fence(Ordering::SeqCst);
            let now = self.connections() > self.config.capacity.in_flight as u64;
            if self.is_crowded.load(Ordering::Relaxed) == now {
                return;
            }
            self.is_crowded.store(now, Ordering::Relaxed);
        }
    }

    /// Whether there are more connections than requests may be in flight.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.is_crowded.load(Ordering::Relaxed)
    }

    /// Requests in flight that do not wait for their client.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sum(|slot| {
            let awaiting = slot.counters.awaiting_client.get();
            slot.counters.in_flight.get().saturating_sub(awaiting)
        })
    }

    fn sum(&self, of: impl Fn(&Slot) -> u64) -> u64 {
        let slots = self.slots.read();
        let counting = slots.live.iter().filter(|slot| !slot.is_retired.load(Ordering::SeqCst));
        counting.map(|slot| of(slot)).sum()
    }

    /// What each shard answers, in the order of their indices.
    pub(crate) fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<io::Result<Vec<FiberInfo>>> {
        // Not under the lock: an answer may take its time.
        let shards = self.slots().into_iter().filter_map(|slot| slot.scheduler());
        shards.map(|shard| shard.inspect(backtraces_max, timeout)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Request, Server};

    #[test]
    fn what_a_shard_has_counted_stays_and_its_slot_does_not() {
        let server = Server::builder().bind("127.0.0.1:0").workers(1);
        let server = server.build(|_: &mut Request| "").expect("a free port");
        let shared = &server.handle().shared;
        for number in 1..=10 {
            let slot = shared.add_slot(true);
            assert_eq!((slot.index, shared.threads()), (number, 2));
            slot.counters.accepted.add(3);
            slot.counters.closed.add(3);
            slot.latencies.record(std::time::Duration::from_millis(1), 5);
            slot.ends();
            // The thread's end may be noticed more than once.
            (0..2).for_each(|_| shared.forget(&slot));
            let (counters, count) = (shared.counters(), number as u64);
            assert_eq!((counters.accepted, counters.closed), (3 * count, 3 * count));
            assert_eq!(shared.latencies().count(), 5 * count);
            assert_eq!((shared.slots().len(), shared.connections()), (1, 0));
        }
    }
}
