//! The requests that wait, because all upstreams have as many requests as they may have.
//!
//! They get a place in the order of their coming, on whatever shard they are: only the request at
//! the front looks for one, and a request that comes while others wait stands behind them. A
//! request leaves the queue after a time, or with its deadline or its client.
//!
//! Invariant: if a place becomes free while a request waits, the front looks afterwards. So the
//! request that ends first frees its place and then looks whether another one waits, and a request
//! that joins first joins and then looks for a place.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use straightline_sched as sched;
use straightline_sched::sync::Semaphore;

/// The queue in front of the upstreams of a proxy, of all shards together.
pub(super) struct Queue {
    waiting_max: usize,
    time: Duration,
    /// Held by the request at the front.
    front: Semaphore,
    /// Has a permit if a place may have become free since the front has looked.
    freed: Semaphore,
    waiting: AtomicUsize,
    waited: AtomicU64,
}

/// The place of a request in the queue, which it leaves when this is dropped.
struct Ticket<'q>(&'q Queue);

impl Queue {
    /// A queue in which that many requests wait, each for that time. If one of them is zero, none
    /// waits.
    pub(super) fn new(waiting_max: usize, time: Duration) -> Self {
        Self {
            waiting_max: if time.is_zero() { 0 } else { waiting_max },
            time,
            front: Semaphore::new(1),
            freed: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
            waited: AtomicU64::new(0),
        }
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many requests have waited.
    pub(super) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// A place may have become free. Not a yield point.
    pub(super) fn note_free(&self) {
        if self.waiting() > 0 && self.freed.available_permits() == 0 {
            self.freed.add_permits(1);
        }
    }

    /// Waits until `look` finds something, when it is this request's turn to look; `None` if the
    /// queue is full, or the time is over.
    ///
    /// A yield point.
    pub(super) fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let _ticket = self.join()?;
        let found = sched::deadline(self.time, || {
            let _front = self.front.acquire(1).ok()?;
            loop {
                // What was freed before this look needs no other one.
                while let Ok(permit) = self.freed.try_acquire(1) {
                    permit.forget();
                }
                if let Some(found) = look() {
                    return Some(found);
                }
                self.freed.acquire(1).ok()?.forget();
            }
        });
        found.ok().flatten()
    }

    fn join(&self) -> Option<Ticket<'_>> {
        if self.waiting_max == 0 {
            return None;
        }
        let ticket = Ticket(self);
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        if before >= self.waiting_max {
            return None;
        }
        self.waited.fetch_add(1, Ordering::Relaxed);
        Some(ticket)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        // Several places may have become free at once, and this request has taken one at most.
        self.0.note_free();
    }
}
