//! The fibers that a shard gave up: they are in no table any more.
//!
//! Their frames stay for ever, so the thread must stay as well once there are any (`remains`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::fiber::FiberKey;

#[derive(Default)]
pub(crate) struct AbandonedFibers {
    /// Their names, since they may hold locks for ever.
    names: RefCell<BTreeMap<FiberKey, String>>,
    has_remains: Cell<bool>,
}

impl AbandonedFibers {
    pub(super) fn record(&self, key: FiberKey, name: String) {
        self.names.borrow_mut().insert(key, name);
    }

    pub(super) fn name(&self, key: FiberKey) -> Option<String> {
        self.names.borrow().get(&key).cloned()
    }

    /// Frames of given-up fibers are left on this thread.
    pub(super) fn record_remains(&self) {
        self.has_remains.set(true);
    }

    pub(super) fn has_remains(&self) -> bool {
        self.has_remains.get()
    }
}
