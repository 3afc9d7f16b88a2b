//! The progress of a server's shutdown: its phase, when it began, and why.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use straightline_sched::now;
use straightline_sched::sync::{Flag, FlagReader};

use crate::config::Phase;

/// The progress of a server's shutdown; it only advances.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// A [`Phase`].
    phase: AtomicU8,
    /// When the first phase after [`Phase::Serving`] was reached.
    since: Mutex<Option<Instant>>,
    /// Set when [`Phase::Draining`] is reached.
    draining: Arc<Flag>,
    /// The fault that causes the shutdown, if a fault does.
    failure: Mutex<Option<io::Error>>,
}

impl Shutdown {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Unready,
            2 => Phase::Draining,
            _ => Phase::ForceClosing,
        }
    }

    /// Moves to the phase `to`; false if that phase has been reached already.
    pub(crate) fn advance(&self, to: Phase) -> bool {
        if self.phase.fetch_max(to as u8, Ordering::SeqCst) >= to as u8 {
            return false;
        }
        self.since.lock().get_or_insert_with(now);
        if to >= Phase::Draining {
            self.draining.set();
        }
        true
    }

    pub(crate) fn draining(&self) -> FlagReader {
        self.draining.reader()
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        *self.since.lock()
    }

    /// The first failure counts.
    pub(crate) fn record_failure(&self, failure: io::Error) {
        self.failure.lock().get_or_insert(failure);
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().take()
    }
}
