//! Fibers that outlive the request which happens to start them.

use straightline_sched::{FiberBuilder, ShardBound, ShardHandle, SpawnError, sim};

/// Runs `body` on a new fiber of this shard, which inherits nothing of the calling fiber: an
/// inherited fiber-local of a request would live as long as a connection does. If there can be no
/// fiber, `body` is dropped, here or on a fiber.
///
/// A fiber that is sent to a shard has no parent. So one is sent, and starts the other.
pub(super) fn spawn_apart(
    name: &'static str,
    body: impl FnOnce() + 'static,
) -> Result<(), SpawnError> {
    let body = ShardBound::new(Box::new(body));
    ShardHandle::current().spawn(move || {
        let Ok(body) = body.try_into_inner() else { return };
        if let Err(error) = FiberBuilder::new().name(name).spawn(body) {
            sim::trace(|| format!("{name}: {error}"));
        }
    })
}
