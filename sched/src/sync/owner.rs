//! The fiber that holds a lock.
//!
//! Each lock with one holder at a time keeps it, under the lock's own short lock, from the moment
//! the lock is taken or handed over. So the listing of a waiting fiber tells which fiber it waits
//! for. A guard that moves to another fiber of its thread still counts as its first owner's.

use crate::core;
use crate::fiber::FiberKey;

use super::waiter::Waiter;

/// A fiber of the process, or none; a plain thread counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The shard's number, and the fiber's key there.
    fiber: Option<(u64, FiberKey)>,
}

impl Owner {
    pub(super) const NONE: Self = Self { fiber: None };

    /// The caller.
    pub(super) fn current() -> Self {
        Self { fiber: core::current_id() }
    }

    pub(super) fn of(waiter: &Waiter) -> Self {
        match waiter {
            Waiter::Fiber(fiber) => Self { fiber: Some(fiber.id()) },
            Waiter::Thread(_) => Self::NONE,
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
