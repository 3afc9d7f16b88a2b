//! What a shard knows of fibers that wait for each other, and what was done about it.
//!
//! A circle is known by the fiber that closed it. It is seen when the shard keeps house, and told
//! when it is seen again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;

use crate::fiber::FiberKey;

#[derive(Default)]
pub(crate) struct Circles {
    /// The fibers that closed a circle and may wait there still.
    closed_by: RefCell<BTreeMap<FiberKey, Circle>>,
    /// The pulse when the shard was last found stuck.
    stuck_at: Cell<Option<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circle {
    Closed,
    /// It was there when the shard last kept house.
    Seen,
    Told,
}

impl Circles {
    /// That fiber closes a circle, unless it is known.
    pub(super) fn note(&self, key: FiberKey) {
        self.closed_by.borrow_mut().entry(key).or_insert(Circle::Closed);
    }

    /// Takes all of them out. Those that last are to be put [back](Self::keep).
    pub(super) fn take(&self) -> BTreeMap<FiberKey, Circle> {
        mem::take(&mut *self.closed_by.borrow_mut())
    }

    pub(super) fn keep(&self, key: FiberKey, circle: Circle) {
        self.closed_by.borrow_mut().insert(key, circle);
    }

    /// The shard is stuck at that pulse; returns whether that is news.
    pub(super) fn note_stuck(&self, beats: u64) -> bool {
        self.stuck_at.replace(Some(beats)) != Some(beats)
    }
}
