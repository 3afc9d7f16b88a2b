//! A shard's values of shard-locals.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

/// A shard's values, the youngest last.
#[derive(Default)]
pub(crate) struct ShardValues {
    list: RefCell<Vec<Value>>,
    /// How often all values were dropped.
    rounds: Cell<u32>,
}

pub(super) struct Value {
    /// The address of the key, which identifies it.
    key: usize,
    /// A `OnceCell` of an `Rc` of the value.
    cell: Rc<dyn Any>,
}

impl ShardValues {
    /// The cell of that key; `make` makes it at the first use.
    pub(crate) fn cell(&self, key: usize, make: impl FnOnce() -> Rc<dyn Any>) -> Rc<dyn Any> {
        let mut list = self.list.borrow_mut();
        if let Some(value) = list.iter().find(|value| value.key == key) {
            return Rc::clone(&value.cell);
        }
        let cell = make();
        list.push(Value { key, cell: Rc::clone(&cell) });
        cell
    }

    /// Makes the value of that key the youngest.
    pub(crate) fn record_made(&self, key: usize) {
        let mut list = self.list.borrow_mut();
        if let Some(place) = list.iter().position(|value| value.key == key) {
            list[place..].rotate_left(1);
        }
    }

    /// Whether there are values to be dropped. A destructor may use a shard-local again, and so
    /// make a new value: it takes a few rounds. Values that are left then are leaked.
    pub(super) fn is_due(&self) -> bool {
        !self.list.borrow().is_empty() && self.rounds.get() < ROUNDS_MAX
    }

    /// Removes them for one round, in which the caller calls the user's destructors.
    pub(super) fn take(&self) -> Vec<Value> {
        self.rounds.set(self.rounds.get() + 1);
        self.list.take()
    }
}

impl Drop for ShardValues {
    /// Values are left only if the shard itself panicked, and then there is no fiber to drop them
    /// on.
    fn drop(&mut self) {
        self.list.take().into_iter().for_each(mem::forget);
    }
}

/// As glibc does with thread-specific data.
const ROUNDS_MAX: u32 = 4;
