//! Who holds a lock.
//!
//! Kept with each lock that lets in one at a time, under the lock's own short lock, from the moment
//! it is taken or handed over: so a fiber that would wait for itself is told so instead.

use crate::core;
use crate::fiber::FiberKey;

use super::waiter::Waiter;

/// A fiber of the process, or nobody; a plain thread counts as nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The shard's number, and the fiber's key there.
    fiber: Option<(u64, FiberKey)>,
}

impl Owner {
    pub(super) const NOBODY: Self = Self { fiber: None };

    /// The caller.
    pub(super) fn current() -> Self {
        Self { fiber: core::current_id() }
    }

    pub(super) fn of(waiter: &Waiter) -> Self {
        match waiter {
            Waiter::Fiber(fiber) => Self { fiber: Some(fiber.id()) },
            Waiter::Thread(_) => Self::NOBODY,
        }
    }

    /// The number of a shard, and the fiber there.
    pub(super) fn id(self) -> Option<(u64, FiberKey)> {
        self.fiber
    }

    pub(super) fn is_caller(self) -> bool {
        self.fiber.is_some() && self == Self::current()
    }
}

/// Reports that the calling fiber waits for what it holds itself, which would never end.
pub(super) fn deadlock(holds: &str) -> ! {
    match core::try_current() {
        Some(fiber) => {
            panic!("straightline: deadlock: the fiber already holds this {holds}: {fiber:?}")
        }
        None => panic!("straightline: deadlock: the caller already holds this {holds}"),
    }
}
