//! The shard's table of sources: what the driver tells goes through it to those that wait.

use slotmap::KeyData;

use super::local;
use super::shard::Shard;
use super::source_state::{SourceKey, SourceState, Tasks};
use crate::driver::{DriverKind, Interests, Readiness};

/// How the calling thread's shard learns which descriptors are ready; `None` in a simulation, and
/// where no shard runs.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::{self as sched, Config, DriverKind};
///
/// let config = Config { driver: Some(DriverKind::Polling), ..Config::default() };
/// assert_eq!(sched::run_with(config, sched::driver_kind)?, Some(DriverKind::Polling));
/// # std::io::Result::Ok(())
/// ```
pub fn driver_kind() -> Option<DriverKind> {
    local::try_with(|shard| shard.driver.kind()).flatten()
}

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
        if readiness.disarmed {
            let refused = self.rearm(source, readiness);
            drop(sources);
            refused.into_iter().for_each(Tasks::wake);
        } else {
            drop(sources);
        }
        tasks.wake();
    }

    /// After an event that has disarmed the descriptor: arms it for the direction that is waited
    /// for still. Where that fails the fibers there look themselves, and the tasks are the caller's
    /// to wake.
    #[inline(never)]
    fn rearm(&self, source: &mut SourceState, readiness: Readiness) -> Option<Tasks> {
        source.armed = source.waited_for();
        if source.armed == Interests::NONE
            || self.driver.rearm(source.number, readiness.key, source.armed).is_ok()
        {
            return None;
        }
        source.armed = Interests::NONE;
        let both = Readiness { readable: true, writable: true, ..readiness };
        Some(source.note(both, |fiber| self.wake(fiber)))
    }

    /// The source was dropped. Its state is dropped when the table is not borrowed any more.
    pub(super) fn forget_source(&self, key: SourceKey) {
        let mut sources = self.sources.borrow_mut();
        let _state = sources.remove(key);
        self.counters.sources_now.set(sources.len() as u64);
        drop(sources);
    }
}
