//! What the shards, the handles, the signals and the watch of a server have in common.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use straightline_net::StreamSet;
use straightline_sched::sync::mpsc;
use straightline_sched::{self as sched, Fiber, FiberInfo, ShardHandle, Stats, clock};

use super::accept::Listener;
use super::access_log::AccessLog;
use super::address::Address;
use super::builder::{Config, ServiceFactory};
use super::capacity::PeerCounts;
use super::counters::{Counters, ShardCounters};
use super::events::Event;
use super::memory::Memory;
use crate::telemetry::Histogram;

/// How far a server's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It serves, and says that it soon will not, in each answer too: see
    /// [`Builder::ready_delay`](super::Builder).
    Unready,
    /// Nobody new; what is in flight is finished.
    Draining,
    /// What is in flight is cut.
    Cutting,
}

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) factory: Arc<ServiceFactory>,
    pub(super) local: Vec<Address>,
    /// How many shards there are meant to be.
    pub(super) workers: usize,
    pub(super) access_log: Option<Arc<AccessLog>>,
    /// One for each shard that there is or was.
    slots: RwLock<Vec<Arc<Slot>>>,
    pub(super) peers: PeerCounts,
    pub(super) memory: Arc<Memory>,
    /// There are more connections than requests may be in flight.
    pub(super) is_crowded: AtomicBool,
    /// A [`Phase`]; it only grows.
    phase: AtomicU8,
    /// When the end began.
    pub(super) ends_since: Mutex<Option<Instant>>,
    /// Fibers that went on after they had been cancelled, and were given up.
    pub(super) given_up: AtomicU64,
    /// Where shards go that were started while the server runs.
    pub(super) newcomers: Mutex<Option<mpsc::Sender<ShardHandle<io::Result<()>>>>>,
}

/// One shard, as others see it.
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) counters: ShardCounters,
    pub(super) latencies: Histogram,
    /// Its connections.
    pub(super) streams: StreamSet,
    /// Its listeners once more, for another shard to take over.
    pub(super) spare: Mutex<Vec<Listener>>,
    /// It does not answer, and is not waited for.
    pub(super) is_stuck: AtomicBool,
    pub(super) has_ended: AtomicBool,
    /// Another one has taken over: it ends as soon as it can.
    pub(super) is_retired: AtomicBool,
    /// Its root fiber, to be woken when something changes, and itself; once it runs.
    running: Mutex<Option<(Fiber, sched::Handle)>>,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        factory: Arc<ServiceFactory>,
        local: Vec<Address>,
        workers: usize,
        access_log: Option<Arc<AccessLog>>,
    ) -> Arc<Self> {
        let memory = Memory::new(config.capacity.memory_bytes);
        let shared = Self {
            config,
            factory,
            local,
            workers,
            access_log,
            slots: RwLock::default(),
            peers: PeerCounts::default(),
            memory,
            is_crowded: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Serving as u8),
            ends_since: Mutex::new(None),
            given_up: AtomicU64::new(0),
            newcomers: Mutex::new(None),
        };
        (0..workers).for_each(|_| drop(shared.add_slot()));
        Arc::new(shared)
    }

    /// A place for one more shard.
    pub(super) fn add_slot(&self) -> Arc<Slot> {
        let mut slots = self.slots.write();
        let slot = Arc::new(Slot {
            index: slots.len(),
            counters: ShardCounters::default(),
            latencies: Histogram::default(),
            streams: StreamSet::new(),
            spare: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            running: Mutex::new(None),
        });
        slots.push(Arc::clone(&slot));
        slot
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().clone()
    }

    /// One step further to the end: the first call begins it, the next one cuts it short.
    pub(super) fn shutdown(&self) {
        match self.phase() {
            Phase::Serving if !self.config.ready_delay.is_zero() => self.advance(Phase::Unready),
            Phase::Serving => self.advance(Phase::Draining),
            Phase::Unready | Phase::Draining | Phase::Cutting => self.advance(Phase::Cutting),
        }
    }

    /// At least so far, and at most once so.
    pub(super) fn advance(&self, to: Phase) {
        let before = self.phase.fetch_max(to as u8, Ordering::SeqCst);
        if before >= to as u8 {
            return;
        }
        self.ends_since.lock().get_or_insert_with(clock);
        self.config.tell(&Event::ShutdownAdvanced { phase: to });
        for slot in self.slots() {
            if to >= Phase::Draining {
                // The port closes with the last of them.
                slot.spare.lock().clear();
            }
            slot.wake();
        }
    }

    pub(super) fn shutdown_if_serving(&self) {
        if self.phase() == Phase::Serving {
            self.advance(Phase::Draining);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Unready,
            2 => Phase::Draining,
            _ => Phase::Cutting,
        }
    }

    /// Whether the end of a shard may be because another one has taken over.
    pub(super) fn is_any_retired(&self) -> bool {
        self.slots.read().iter().any(|slot| slot.is_retired.load(Ordering::SeqCst))
    }

    /// How many shards do not answer.
    pub(super) fn stuck(&self) -> usize {
        let slots = self.slots.read();
        let is_stuck = |slot: &&Arc<Slot>| {
            slot.is_stuck.load(Ordering::SeqCst) && !slot.has_ended.load(Ordering::SeqCst)
        };
        slots.iter().filter(is_stuck).count()
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.slots.read().iter().for_each(|slot| slot.counters.add_to(&mut sum));
        sum
    }

    /// Of each scheduler that runs, with the number of its shard.
    pub(super) fn shard_stats(&self) -> Vec<(usize, Stats)> {
        let slots = self.slots();
        let stats = slots.iter().filter_map(|slot| {
            slot.running.lock().as_ref().map(|(_, shard)| (slot.index, shard.stats()))
        });
        stats.collect()
    }

    /// Connections that are open. Those of a shard that was replaced are shut down, and may never
    /// be closed: they take no room from others, here and below.
    pub(super) fn connections(&self) -> u64 {
        self.sum(|counters| {
            // In this order: one that is opened and closed in between must not make it negative.
            let closed = counters.closed.get();
            counters.accepted.get().saturating_sub(closed)
        })
    }

    /// A connection has come or gone: each has one request in flight at most.
    pub(super) fn note_crowd(&self) {
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

    /// Requests in flight that do not wait for their client.
    pub(super) fn in_flight(&self) -> u64 {
        self.sum(|counters| {
            let awaiting = counters.awaiting_client.get();
            counters.in_flight.get().saturating_sub(awaiting)
        })
    }

    fn sum(&self, of: impl Fn(&ShardCounters) -> u64) -> u64 {
        let slots = self.slots.read();
        let counting = slots.iter().filter(|slot| !slot.is_retired.load(Ordering::SeqCst));
        counting.map(|slot| of(&slot.counters)).sum()
    }

    /// What each shard answers, in the order of their indices.
    pub(super) fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<io::Result<Vec<FiberInfo>>> {
        // Not under the lock: an answer may take its time.
        let shards = self
            .slots()
            .into_iter()
            .filter_map(|slot| slot.running.lock().as_ref().map(|(_, shard)| shard.clone()));
        shards.map(|shard| shard.inspect(backtraces_max, timeout)).collect()
    }
}

impl Slot {
    /// Has the calling fiber woken when something changes, from now on.
    pub(super) fn runs(&self) {
        *self.running.lock() = Some((sched::current(), sched::Handle::current()));
    }

    /// The shard is over but for what it cancels.
    pub(super) fn ends(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        // A handle keeps some of a shard alive, which keeps this slot.
        *self.running.lock() = None;
    }

    pub(super) fn wake(&self) {
        if let Some((root, _)) = &*self.running.lock() {
            root.unpark();
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("index", &self.index).finish_non_exhaustive()
    }
}
