//! The memory that clients have a server use: the bytes of all buffers and bodies together.
//!
//! Each buffer and each body has a limit of its own, and so has the number of connections; their
//! product is more than a machine has. So all of them are counted in one sum, which has a limit
//! too. What would pass the limit and can be refused is refused: a request gets a 503, a body that
//! a handler reads into memory becomes an error that is a 503. What is allocated already counts
//! whatever the sum is.
//!
//! The count is changed when a buffer is made, grows or goes, and not for each request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The sum, and its limit.
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicU64,
    max: u64,
    /// `held > max` or a refusal since the sum was last below three quarters of `max`, as some
    /// thread last saw it. Requests are refused while it is set.
    is_short: AtomicBool,
}

/// Bytes that count until this is dropped.
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

    /// Counts so many bytes that are allocated already.
    pub(crate) fn add(&self, bytes: u64) {
        if self.held.fetch_add(bytes, Ordering::SeqCst) + bytes > self.max {
            self.is_short.store(true, Ordering::SeqCst);
            // Other threads may have released theirs before the flag was set.
            self.record_room(self.held.load(Ordering::SeqCst));
        }
    }

    /// Counts so many bytes, if there is room for them.
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

    /// So many of the counted bytes are released.
    pub(crate) fn remove(&self, bytes: u64) {
        self.record_room(self.held.fetch_sub(bytes, Ordering::SeqCst) - bytes);
    }

    fn record_room(&self, held: u64) {
        // Not at the first free byte: the requests that were just refused would come again.
        if held <= self.max / 4 * 3 && self.is_short() {
            self.is_short.store(false, Ordering::SeqCst);
        }
    }
}

impl Held {
    /// Counts so many bytes from now on, if there is room for them; otherwise as many as before.
    #[must_use]
    pub(crate) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        let fits = more == 0 || self.memory.try_add(more);
        if fits {
            self.bytes += more;
        }
        fits
    }

    /// Counts so many bytes from now on, which are allocated already.
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
    fn one_that_would_pass_the_limit_is_refused() {
        let memory = Memory::new(100);
        let (mut first, mut second) = (memory.none(), memory.none());
        assert!(first.try_grow_to(99) && second.try_grow_to(1));
        assert!(!memory.is_short());
        assert!(!second.try_grow_to(2));
        assert_eq!((memory.held(), second.bytes), (100, 1));
        assert!(memory.is_short(), "somebody had to be refused");
        first.set(80);
        assert!(memory.is_short(), "not at the first byte that is free");
        drop(first);
        assert!(!memory.is_short());
        assert!(second.try_grow_to(100));
    }

    #[test]
    fn what_is_there_counts_whatever_the_limit_is() {
        let memory = Memory::new(100);
        let mut held = memory.none();
        held.set(150);
        assert_eq!(memory.held(), 150);
        assert!(memory.is_short());
        drop(held);
        assert_eq!((memory.held(), memory.is_short()), (0, false));
    }

    quickcheck! {
        fn the_sum_is_that_of_all(steps: Vec<(u8, u16, bool)>) -> bool {
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
