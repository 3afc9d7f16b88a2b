//! The circles of fibers that wait for each other, as far as a shard has noticed them.
//!
//! A circle is identified by the fiber that closed it. The shard checks it at its maintenance, and
//! reports it when it finds it for the second time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;

use crate::fiber::FiberKey;

#[derive(Default)]
pub(crate) struct Circles {
    /// The fibers that closed a circle and may still wait there.
    closed_by: RefCell<BTreeMap<FiberKey, Circle>>,
    /// The pulse when the shard was last found stuck.
    stuck_at: Cell<Option<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circle {
    Closed,
    /// The circle existed at the last maintenance.
    Seen,
    Reported,
}

impl Circles {
    /// Records that the fiber closes a circle, unless that is known.
    pub(super) fn record_closed(&self, key: FiberKey) {
        self.closed_by.borrow_mut().entry(key).or_insert(Circle::Closed);
    }

    /// Removes all of them. The caller puts those that last [back](Self::keep).
    pub(super) fn take(&self) -> BTreeMap<FiberKey, Circle> {
        mem::take(&mut *self.closed_by.borrow_mut())
    }

    pub(super) fn keep(&self, key: FiberKey, circle: Circle) {
        self.closed_by.borrow_mut().insert(key, circle);
    }

    /// Records that the shard is stuck at that pulse; returns whether that is news.
    pub(super) fn record_stuck(&self, beats: u64) -> bool {
        self.stuck_at.replace(Some(beats)) != Some(beats)
    }
}
