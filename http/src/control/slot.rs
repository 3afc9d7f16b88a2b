//! One shard of a server, as the others see it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use straightline_net::StreamSet;
use straightline_sched::{self as sched, Fiber};

use super::listener::Listener;
use crate::telemetry::{Histogram, ShardCounters};

/// One shard.
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) counters: ShardCounters,
    pub(crate) latencies: Histogram,
    /// Its connections.
    pub(crate) streams: StreamSet,
    /// How many listeners of its own it has that have not failed.
    listening: AtomicUsize,
    /// Its own listeners once more, for another shard to accept from.
    own: Mutex<Vec<Listener>>,
    /// What it is to accept from, and has not taken up yet; `None` once it takes up nothing more.
    handed: Mutex<Option<Vec<Handed>>>,
    /// It has no listeners of its own, and is there to accept from those of others.
    is_spare: AtomicBool,
    /// It does not ask for what is new, so another one accepts from its listeners meanwhile.
    is_busy: AtomicBool,
    /// It does not answer, and is not waited for.
    is_stuck: AtomicBool,
    /// It is over but for what it cancels.
    has_ended: AtomicBool,
    /// It ends as soon as it can: another one has taken over, or it is a spare one without work.
    is_retired: AtomicBool,
    /// Its root fiber, to be woken when something changes, and itself; once it runs.
    running: Mutex<Option<(Fiber, sched::Handle)>>,
}

/// Listeners that a shard is to accept from.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) listeners: Vec<Listener>,
    /// `None` if they are its own.
    pub(crate) loan: Option<Arc<Loan>>,
}

/// For how long a shard accepts from listeners that are not its own.
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
            streams: StreamSet::new(),
            listening: AtomicUsize::new(0),
            own: Mutex::default(),
            handed: Mutex::new(Some(Vec::new())),
            is_spare: AtomicBool::new(is_spare),
            is_busy: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            running: Mutex::new(None),
        }
    }

    /// Has the calling fiber woken when something changes, from now on.
    pub(crate) fn runs(&self) {
        *self.running.lock() = Some((sched::current(), sched::Handle::current()));
    }

    /// Gives it listeners of its own. With `keeps_copies` others may accept from them later.
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

    /// One of its own has failed.
    pub(crate) fn lose_listener(&self) {
        self.listening.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether it has one of its own, which others accept from if it does not come to that.
    pub(crate) fn has_listener(&self) -> bool {
        self.listening.load(Ordering::SeqCst) > 0 && self.is_there()
    }

    /// Has it accept from these as well.
    pub(crate) fn hand(&self, handed: Handed) {
        // One that takes up nothing more closes them here.
        if let Some(all) = &mut *self.handed.lock() {
            all.push(handed);
        }
        self.wake();
    }

    /// What it was handed since the last time.
    pub(crate) fn take_handed(&self) -> Vec<Handed> {
        self.handed.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Its own listeners once more; none once the server ends.
    pub(crate) fn copies(&self) -> io::Result<Vec<Listener>> {
        self.own.lock().iter().map(Listener::try_clone).collect()
    }

    /// Nobody is to accept from its own listeners any more but who does already.
    pub(crate) fn close_copies(&self) {
        self.own.lock().clear();
    }

    /// Whether it has no listeners of its own.
    pub(crate) fn is_spare(&self) -> bool {
        self.is_spare.load(Ordering::SeqCst)
    }

    /// Whether another one accepts from its listeners, or did until a moment ago.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst)
    }

    /// Its thread comes back late, or in time again.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::SeqCst);
    }

    /// Whether its thread does not come back.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::SeqCst)
    }

    pub(crate) fn note_stuck(&self) {
        self.is_stuck.store(true, Ordering::SeqCst);
    }

    /// Whether it was stuck: its thread, which asks, has come back.
    pub(crate) fn take_stuck(&self) -> bool {
        self.is_stuck.swap(false, Ordering::SeqCst)
    }

    /// Whether it is to end as soon as it can.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::SeqCst)
    }

    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
    }

    /// Whether the shard is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Its thread does not come back, and it has not been replaced.
    pub(crate) fn needs_help(&self) -> bool {
        self.is_away() && self.is_there()
    }

    /// It accepts in time, and will.
    pub(crate) fn can_help(&self) -> bool {
        !self.is_away() && self.is_there()
    }

    fn is_away(&self) -> bool {
        self.is_busy() || self.is_stuck()
    }

    /// It has not ended, and is not about to.
    pub(crate) fn is_there(&self) -> bool {
        !self.has_ended() && !self.is_retired()
    }

    /// Its connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        // In this order: one that is opened and closed in between must not make it negative.
        let closed = self.counters.closed.get();
        self.counters.accepted.get().saturating_sub(closed)
    }

    /// The shard is over but for what it cancels.
    pub(crate) fn ends(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        *self.handed.lock() = None;
        // A handle keeps some of a shard alive, which keeps this slot.
        *self.running.lock() = None;
    }

    /// The scheduler, once it runs and until it is over.
    pub(crate) fn scheduler(&self) -> Option<sched::Handle> {
        self.running.lock().as_ref().map(|(_, scheduler)| scheduler.clone())
    }

    pub(crate) fn wake(&self) {
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
