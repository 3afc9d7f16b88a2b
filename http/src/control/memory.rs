//! The memory that a server uses for its clients: the bytes of all buffers and bodies together.
//!
//! Each buffer and each body has a limit of its own, and so has the number of connections; but the
//! product of these limits is more than a machine has. So all bytes are counted in one sum, which
//! has a limit too. Work that would exceed the limit is refused where that is possible: a request
//! gets a 503, and a body that a handler reads into memory becomes an error that is a 503. Memory
//! that is allocated already counts even beyond the limit.
//!
//! The count changes when a buffer is made, grows or is freed, and not for each request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sum, and its limit.
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicU64,
    max: u64,
    /// Set when `held` exceeds `max` or bytes are refused, and cleared when `held` falls to three
    /// quarters of `max`, as some thread last saw it. Requests are refused while it is set.
    is_short: AtomicBool,
}

/// Bytes that are counted until this is dropped.
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), max, is_short: AtomicBool::new(false) })
    }

    /// Whether new work is to be refused.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts nothing yet.
    pub(crate) fn none(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }

    /// Counts `bytes`, which are allocated already.
    pub(crate) fn add(&self, bytes: u64) {
        if self.held.fetch_add(bytes, Ordering::SeqCst) + bytes > self.max {
            self.is_short.store(true, Ordering::SeqCst);
            // Other threads may have released theirs before the flag was set.
            self.record_room(self.held.load(Ordering::SeqCst));
        }
    }

    /// Counts `bytes` if there is room for them.
    #[must_use]
    pub(crate) fn try_add(&self, bytes: u64) -> bool {
        let held = self.held.fetch_add(bytes, Ordering::SeqCst);
        if held.saturating_add(bytes) <= self.max {
            return true;
        }
        self.is_short.store(true, Ordering::SeqCst);
        self.remove(bytes);
        false
    }

    /// `bytes` of the counted ones were released.
    pub(crate) fn remove(&self, bytes: u64) {
        self.record_room(self.held.fetch_sub(bytes, Ordering::SeqCst) - bytes);
    }

    fn record_room(&self, held: u64) {
        // Not at the first free byte: the requests that were just refused would come again at once.
        if held <= self.max / 4 * 3 && self.is_short() {
            self.is_short.store(false, Ordering::SeqCst);
        }
    }
}

impl Held {
    /// Counts `bytes` in all from now on if there is room for them; otherwise the count stays.
    #[must_use]
    pub(crate) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        let fits = more == 0 || self.memory.try_add(more);
        if fits {
            self.bytes += more;
        }
        fits
    }

    /// Counts `bytes` in all from now on; they are allocated already.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes > self.bytes {
            self.memory.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.memory.remove(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What TLS holds for clients that it waits for.
#[cfg(feature = "_tls")]
impl straightline_tls::MemoryBudget for Memory {
    fn try_add(&self, bytes: usize) -> bool {
        self.try_add(bytes as u64)
    }

    fn remove(&self, bytes: usize) {
        self.remove(bytes as u64);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn bytes_that_would_exceed_the_limit_are_refused() {
        let memory = Memory::new(100);
        let (mut first, mut second) = (memory.none(), memory.none());
        assert!(first.try_grow_to(99) && second.try_grow_to(1));
        assert!(!memory.is_short());
        assert!(!second.try_grow_to(2));
        assert_eq!((memory.held(), second.bytes), (100, 1));
        assert!(memory.is_short(), "bytes were refused");
        first.set(80);
        assert!(memory.is_short(), "not cleared at the first free byte");
        drop(first);
        assert!(!memory.is_short());
        assert!(second.try_grow_to(100));
    }

    #[test]
    fn allocated_bytes_count_whatever_the_limit_is() {
        let memory = Memory::new(100);
        let mut held = memory.none();
        held.set(150);
        assert_eq!(memory.held(), 150);
        assert!(memory.is_short());
        drop(held);
        assert_eq!((memory.held(), memory.is_short()), (0, false));
    }

    quickcheck! {
        fn the_sum_counts_the_bytes_of_every_holder(steps: Vec<(u8, u16, bool)>) -> bool {
            let memory = Memory::new(100_000);
            let mut held: Vec<_> = (0..16).map(|_| memory.none()).collect();
            for (who, bytes, by_force) in steps {
                let (who, bytes) = (usize::from(who) % held.len(), usize::from(bytes));
                let before = memory.held();
                if by_force {
                    held[who].set(bytes);
                } else if held[who].try_grow_to(bytes) {
                    assert!(memory.held() <= before.max(100_000));
                } else {
                    assert_eq!(memory.held(), before);
                }
                let sum: u64 = held.iter().map(|held| held.bytes).sum();
                assert_eq!(memory.held(), sum);
                assert!(sum <= 100_000 || memory.is_short());
                assert!(sum > 75_000 || !memory.is_short());
            }
            drop(held);
            memory.held() == 0 && !memory.is_short()
        }
    }
}
