//! What a fiber waits for, and since when.

use std::cell::Cell;

use super::tick::Tick;
use super::wait::Wait;

/// A fiber's present wait. It is [`Wait::Nothing`] from the end of each wait to the begin of the
/// next: a wait may point into a frame, and must not outlive it.
pub(crate) struct Waiting {
    wait: Cell<Wait>,
    /// The turn in which the wait began; between two waits, that of the last one.
    since: Cell<Tick>,
}

impl Waiting {
    pub(super) fn new(now: Tick) -> Self {
        Self { wait: Cell::new(Wait::Nothing), since: Cell::new(now) }
    }

    #[inline]
    pub(crate) fn begin(&self, wait: Wait, now: Tick) {
        self.wait.set(wait);
        self.since.set(now);
    }

    /// Returns the wait that ends.
    #[inline]
    pub(crate) fn end(&self) -> Wait {
        self.wait.replace(Wait::Nothing)
    }

    pub(crate) fn wait(&self) -> Wait {
        self.wait.get()
    }

    pub(crate) fn since(&self) -> Tick {
        self.since.get()
    }
}
