//! One shard of a server, as the others see it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use straightline_net::StreamSet;
use straightline_sched::{self as sched, Fiber};

use super::accept::Listener;
use super::counters::ShardCounters;
use crate::telemetry::Histogram;

/// One shard.
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

impl Slot {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            counters: ShardCounters::default(),
            latencies: Histogram::default(),
            streams: StreamSet::new(),
            spare: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            running: Mutex::new(None),
        }
    }

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

    /// The scheduler, once it runs and until it is over.
    pub(super) fn scheduler(&self) -> Option<sched::Handle> {
        self.running.lock().as_ref().map(|(_, scheduler)| scheduler.clone())
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
