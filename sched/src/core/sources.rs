//! The shard's table of sources: what the driver tells goes through it to those that wait.

use slotmap::KeyData;

use super::shard::Shard;
use super::source_state::{SourceKey, Task};
use crate::driver::Readiness;

impl Shard {
    /// Hands an event to all that wait for it.
    pub(super) fn on_readiness(&self, readiness: Readiness) {
        let key = SourceKey::from(KeyData::from_ffi(readiness.key));
        let mut sources = self.sources.borrow_mut();
        // A source that was dropped in this very turn waits for nothing.
        let Some(source) = sources.get_mut(key) else {
            return;
        };
        let tasks = source.note(readiness, |fiber| self.wake(fiber));
        drop(sources);
        tasks.into_iter().flatten().for_each(Task::wake);
    }

    /// The source was dropped. Its state is dropped when the table is not borrowed any more.
    pub(super) fn forget_source(&self, key: SourceKey) {
        let mut sources = self.sources.borrow_mut();
        let _state = sources.remove(key);
        self.counters.sources_now.set(sources.len() as u64);
        drop(sources);
    }
}
