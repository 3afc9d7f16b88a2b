//! The table of a shard's fibers.
//!
//! It has every fiber that is not over, and owns all of them: another reference to a fiber's record
//! keeps no part of the fiber alive. No code of the user runs while the table is borrowed.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use slotmap::SlotMap;

use crate::fiber::{FiberCell, FiberKey, SpawnInfo, Tick};

#[derive(Default)]
pub(crate) struct Fibers {
    table: RefCell<SlotMap<FiberKey, Rc<FiberCell>>>,
}

impl Fibers {
    pub(super) fn insert(&self, spawn_info: SpawnInfo, now: Tick) -> Rc<FiberCell> {
        let mut table = self.table.borrow_mut();
        let key = table.insert_with_key(|key| Rc::new(FiberCell::new(key, spawn_info, now)));
        Rc::clone(&table[key])
    }

    pub(super) fn remove(&self, key: FiberKey) {
        self.table.borrow_mut().remove(key);
    }

    /// A fiber, if it still exists.
    #[inline]
    pub(super) fn get(&self, key: FiberKey) -> Option<Rc<FiberCell>> {
        self.table.borrow().get(key).cloned()
    }

    /// As [`get`](Self::get), with a borrow for the time of `look`, which must not use the table.
    pub(super) fn look<R>(&self, key: FiberKey, look: impl FnOnce(&FiberCell) -> R) -> Option<R> {
        self.table.borrow().get(key).map(|fiber| look(fiber))
    }

    /// All of them, in no particular order.
    pub(super) fn list(&self) -> Vec<Rc<FiberCell>> {
        self.table.borrow().values().cloned().collect()
    }

    pub(super) fn all(&self, is_so: impl FnMut(&Rc<FiberCell>) -> bool) -> bool {
        self.table.borrow().values().all(is_so)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.borrow().is_empty()
    }

    /// Removes all of them, at the end of the shard.
    pub(super) fn take(&self) -> impl Iterator<Item = Rc<FiberCell>> {
        mem::take(&mut *self.table.borrow_mut()).into_iter().map(|(_, fiber)| fiber)
    }
}
