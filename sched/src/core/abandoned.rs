//! What a shard knows of the fibers that it gave up: they are in no table any more.
//!
//! Their frames stay for ever, so once there are some, the thread must stay as well (`remains`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::fiber::FiberKey;

#[derive(Default)]
pub(crate) struct Abandoned {
    /// What they were called: they may hold locks for ever.
    names: RefCell<BTreeMap<FiberKey, String>>,
    has_remains: Cell<bool>,
}

impl Abandoned {
    pub(super) fn note(&self, key: FiberKey, name: String) {
        self.names.borrow_mut().insert(key, name);
    }

    pub(super) fn name(&self, key: FiberKey) -> Option<String> {
        self.names.borrow().get(&key).cloned()
    }

    /// There are frames that stay.
    pub(super) fn note_remains(&self) {
        self.has_remains.set(true);
    }

    pub(super) fn has_remains(&self) -> bool {
        self.has_remains.get()
    }
}
