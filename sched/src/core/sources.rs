//! The shard's table of sources, which leads events of the driver to the waiters.

use slotmap::KeyData;

use super::local;
use super::shard::Shard;
use super::source_state::{SourceKey, SourceState, Task};
use crate::driver::{DriverKind, Interests, Readiness};

/// How the calling thread's shard learns which descriptors are ready; `None` in a simulation, and
/// outside of shards.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::{self as sched, Config, DriverKind};
///
/// let config = Config::default().with_driver(Some(DriverKind::Polling));
/// assert_eq!(sched::run_with(config, sched::driver_kind)?, Some(DriverKind::Polling));
/// # std::io::Result::Ok(())
/// ```
pub fn driver_kind() -> Option<DriverKind> {
    local::try_with(|shard| shard.driver.kind()).flatten()
}

/// Hands an event to all that wait for it.
#[inline]
pub(super) fn on_readiness(shard: &Shard, readiness: Readiness) {
    let key = SourceKey::from(KeyData::from_ffi(readiness.key));
    let mut sources = shard.sources.borrow_mut();
    // A source that was dropped in this very turn has no waiters.
    let Some(source) = sources.get_mut(key) else {
        return;
    };
    let tasks = source.on_event(readiness, |fiber| shard.wake(fiber));
    if readiness.disarmed {
        let refused = rearm(shard, source, readiness);
        drop(sources);
        wake_tasks(refused);
    } else {
        drop(sources);
    }
    wake_tasks(tasks);
}

/// One by one: an iterator over the two is not optimised away, and nearly always both are `None`.
#[inline]
fn wake_tasks([reader, writer]: [Option<Task>; 2]) {
    if let Some(task) = reader {
        task.wake();
    }
    if let Some(task) = writer {
        task.wake();
    }
}

/// After an event that has disarmed the descriptor: arms it for the directions that are still
/// waited for. If that fails, the fibers there are woken and look themselves, and the caller wakes
/// the tasks that are returned.
#[inline(never)]
fn rearm(shard: &Shard, source: &mut SourceState, readiness: Readiness) -> [Option<Task>; 2] {
    let wanted = source.waited_for();
    source.set_armed(wanted);
    if wanted == Interests::NONE
        || shard.driver.rearm(source.number(), readiness.key, wanted).is_ok()
    {
        return [None, None];
    }
    source.set_armed(Interests::NONE);
    let both = Readiness { readable: true, writable: true, ..readiness };
    source.on_event(both, |fiber| shard.wake(fiber))
}

/// Forgets a source that was dropped. Its state is dropped when the table is not borrowed any more.
pub(super) fn forget_source(shard: &Shard, key: SourceKey) {
    let mut sources = shard.sources.borrow_mut();
    let _state = sources.remove(key);
    shard.counters.sources.set(sources.len() as u64);
    drop(sources);
}
