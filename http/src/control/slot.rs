//! One shard of a server, as the other threads see it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use straightline_net::StreamSet;
use straightline_sched::{self as sched, Fiber};

use super::listener::Listener;
use crate::telemetry::{Histogram, RouteCounters, ShardCounters};

/// One shard.
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) counters: ShardCounters,
    pub(crate) latencies: Histogram,
    pub(crate) routes: RouteCounters,
    /// The connections of the shard.
    pub(crate) streams: StreamSet,
    /// How many of its connections count in the sum of all shards; see [`Slot::count`].
    counted: AtomicU64,
    /// How many of the shard's own listeners have not failed.
    listening: AtomicUsize,
    /// Copies of the shard's own listeners, for another shard to accept from.
    own: Mutex<Vec<Listener>>,
    /// Listeners that the shard is to accept from, but has not taken up yet; `None` once it takes
    /// up no more.
    handed: Mutex<Option<Vec<Handed>>>,
    /// The shard has no listeners of its own, and only accepts from those of other shards.
    is_spare: AtomicBool,
    /// The shard's thread does not return to its scheduler in time, so another shard accepts from
    /// its listeners too.
    is_busy: AtomicBool,
    /// The shard's thread does not return to its scheduler at all; no other thread waits for it.
    is_stuck: AtomicBool,
    /// The shard has ended, except for fibers that it still cancels.
    has_ended: AtomicBool,
    /// The shard is to end as soon as it can: it was replaced, or is a spare shard without work.
    is_retired: AtomicBool,
    /// A handler of the shard has panicked, so the shard is to be renewed.
    wants_renewal: AtomicBool,
    /// Another shard has its listeners, and the shard ends when its connections have.
    is_leaving: AtomicBool,
    /// While the shard runs: its root fiber, which is woken when the slot changes, and its
    /// scheduler.
    running: Mutex<Option<(Fiber, sched::ShardHandle)>>,
}

/// Listeners that a shard is to accept from.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) listeners: Vec<Listener>,
    /// `None` if the shard owns them.
    pub(crate) loan: Option<Arc<Loan>>,
}

/// Permits a shard to accept from another shard's listeners, until it is over.
#[derive(Debug, Default)]
pub(crate) struct Loan {
    is_over: AtomicBool,
}

impl Loan {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

impl Slot {
    pub(crate) fn new(index: usize, is_spare: bool) -> Self {
        Self {
            index,
            counters: ShardCounters::default(),
            latencies: Histogram::default(),
            routes: RouteCounters::default(),
            streams: StreamSet::new(),
            counted: AtomicU64::new(0),
            listening: AtomicUsize::new(0),
            own: Mutex::default(),
            handed: Mutex::new(Some(Vec::new())),
            is_spare: AtomicBool::new(is_spare),
            is_busy: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            wants_renewal: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            running: Mutex::new(None),
        }
    }

    /// The calling fiber is the shard's root, and is woken when the slot changes.
    pub(crate) fn record_running(&self) {
        *self.running.lock() = Some((sched::current(), sched::ShardHandle::current()));
    }

    /// Gives the shard listeners of its own. With `keeps_copies` other shards may accept from them
    /// later.
    pub(crate) fn give(&self, listeners: Vec<Listener>, keeps_copies: bool) -> io::Result<()> {
        if keeps_copies {
            let copies: io::Result<Vec<_>> = listeners.iter().map(Listener::try_clone).collect();
            self.own.lock().extend(copies?);
        }
        self.is_spare.store(false, Ordering::SeqCst);
        self.listening.fetch_add(listeners.len(), Ordering::SeqCst);
        self.hand(Handed { listeners, loan: None });
        Ok(())
    }

    /// One of the shard's own listeners has failed.
    pub(crate) fn lose_listener(&self) {
        self.listening.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the shard has a listener of its own. If it does not accept from it, other shards do.
    pub(crate) fn has_listener(&self) -> bool {
        self.listening.load(Ordering::SeqCst) > 0 && self.is_active()
    }

    /// Lets the shard accept from these listeners too.
    pub(crate) fn hand(&self, handed: Handed) {
        // If the shard takes up no more listeners, they are closed here.
        if let Some(all) = &mut *self.handed.lock() {
            all.push(handed);
        }
        self.wake();
    }

    /// The listeners that were handed to the shard since the last call.
    pub(crate) fn take_handed(&self) -> Vec<Handed> {
        self.handed.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Copies of the shard's own listeners; none once the server shuts down.
    pub(crate) fn copies(&self) -> io::Result<Vec<Listener>> {
        self.own.lock().iter().map(Listener::try_clone).collect()
    }

    /// From now on no further shard gets a copy of its listeners.
    pub(crate) fn close_copies(&self) {
        self.own.lock().clear();
    }

    /// Whether the shard has no listeners of its own.
    pub(crate) fn is_spare(&self) -> bool {
        self.is_spare.load(Ordering::SeqCst)
    }

    /// Whether another shard accepts from its listeners, or did until a moment ago.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst)
    }

    /// The watchdog has seen that the shard's thread does not return in time, or does again.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::SeqCst);
    }

    /// Whether the shard's thread does not return at all.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::SeqCst)
    }

    pub(crate) fn record_stuck(&self) {
        self.is_stuck.store(true, Ordering::SeqCst);
    }

    /// Whether the shard was stuck. Called on its own thread, so it is not stuck any more.
    pub(crate) fn take_stuck(&self) -> bool {
        self.is_stuck.swap(false, Ordering::SeqCst)
    }

    /// Whether the shard is to end as soon as it can.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::SeqCst)
    }

    /// Called by [`Shards::retire`](super::shards::Shards::retire) only.
    pub(super) fn record_retired(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
    }

    /// Whether the shard is to be renewed.
    pub(crate) fn wants_renewal(&self) -> bool {
        self.wants_renewal.load(Ordering::SeqCst)
    }

    /// A handler has panicked: the shard is to be renewed.
    pub(crate) fn ask_for_renewal(&self) {
        if !self.wants_renewal.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Whether another shard has the shard's listeners, so that the shard ends with its
    /// connections.
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    /// Another shard has the shard's listeners.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        self.close_copies();
    }

    /// Whether the shard has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// The shard's thread does not return, and the shard was not replaced.
    pub(crate) fn needs_help(&self) -> bool {
        self.is_unresponsive() && self.is_active()
    }

    /// The shard accepts in time, and is not about to end.
    pub(crate) fn can_help(&self) -> bool {
        !self.is_unresponsive() && self.is_active()
    }

    fn is_unresponsive(&self) -> bool {
        self.is_busy() || self.is_stuck()
    }

    /// The shard has not ended, and is not about to.
    pub(crate) fn is_active(&self) -> bool {
        !self.has_ended() && !self.is_retired() && !self.is_leaving()
    }

    /// How many of its connections are open.
    pub(crate) fn connections(&self) -> u64 {
        // `closed` is read first: a connection that opens and closes between the two reads must not
        // make the difference negative.
        let closed = self.counters.closed.get();
        self.counters.accepted.get().saturating_sub(closed)
    }

    /// Counts a connection that the shard has opened, or one less. Returns whether the sum of all
    /// shards is to change as well.
    pub(super) fn count(&self, is_open: bool) -> bool {
        let before = if is_open {
            self.counted.fetch_add(1, Ordering::SeqCst)
        } else {
            self.counted.fetch_sub(1, Ordering::SeqCst)
        };
        before & OUT_OF_SUM == 0
    }

    /// From now on its connections do not count in the sum. Returns how many did.
    pub(super) fn leave_sum(&self) -> u64 {
        let before = self.counted.fetch_or(OUT_OF_SUM, Ordering::SeqCst);
        if before & OUT_OF_SUM == 0 { before } else { 0 }
    }

    /// The shard has ended, except for fibers that it still cancels.
    pub(crate) fn record_ended(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        *self.handed.lock() = None;
        // The handle keeps parts of the scheduler alive, which keep this slot alive.
        *self.running.lock() = None;
    }

    /// The shard's scheduler, while it runs.
    pub(crate) fn scheduler(&self) -> Option<sched::ShardHandle> {
        self.running.lock().as_ref().map(|(_, scheduler)| scheduler.clone())
    }

    pub(crate) fn wake(&self) {
        if let Some((root, _)) = &*self.running.lock() {
            root.unpark();
        }
    }
}

/// The bit of `Slot::counted` which says that the sum does not contain the rest.
const OUT_OF_SUM: u64 = 1 << 63;

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("index", &self.index).finish_non_exhaustive()
    }
}
