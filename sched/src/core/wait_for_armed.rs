//! The wait of a fiber that has armed several sources.

use std::io;
use std::time::Instant;

use super::park::park_at_most;
use super::source::on_fiber;
use crate::fiber::Wait;

/// Waits until a source changes that the calling fiber has armed
/// ([`Source::arm`](crate::Source::arm)), until `at`, or until the fiber is woken for another
/// reason: look again after it.
///
/// So a fiber waits for several sources at once. Drop the sources that must not wake the fiber
/// afterwards.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// A cancel or a deadline ends the wait by unwinding. The fiber stays armed, and the changes are
/// kept: they may end a later wait for something else early.
///
/// # Errors
///
/// When the calling fiber is unwinding, and so may not wait, or when the caller is not a fiber.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use straightline_sched::{self as sched, Interest, Source};
///
/// sched::run(|| {
///     let pairs = [UnixStream::pair()?, UnixStream::pair()?];
///     let (mut near, far): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
///     let sources: Vec<_> = far.into_iter().map(Source::new).collect();
///     sched::spawn(move || near[1].write_all(b"!"));
///     let changed = loop {
///         let mut changed = None;
///         for (index, source) in sources.iter().enumerate() {
///             if !source.arm(Interest::Read)? {
///                 changed = Some(index);
///             }
///         }
///         if let Some(index) = changed {
///             break index;
///         }
///         sched::wait_for_armed(None)?;
///     };
///     assert_eq!(changed, 1);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn wait_for_armed(at: Option<Instant>) -> io::Result<()> {
    on_fiber(|shard, _| Ok(park_at_most(shard, Wait::Call(&"wait_for_armed"), at, || false)?))
}
