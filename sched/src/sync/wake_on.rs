//! A wait for a thing without a stack: `select` for a fiber that rests.

use std::fmt;

use super::select::Selectable;
use super::watch::Watcher;

/// Wakes a fiber that rests ([`spawn_stackless`](crate::spawn_stackless)) when a thing becomes
/// ready. A [`select`](super::select()) waits on a stack; this only registers.
///
/// An activation makes it once, keeps it in its closure, and calls [`arm`](Self::arm) before it
/// rests. Like `select` it takes nothing, and like every wake-up it may come early: look again.
///
/// ```
/// use std::ops::ControlFlow;
/// use straightline_sched::{self as sched, sync::{WakeOn, mpsc}};
///
/// sched::run(|| {
///     let (sender, receiver) = mpsc::channel(8);
///     let (mut wake, mut sum) = (None, 0);
///     let fiber = sched::spawn_stackless(move || {
///         let wake = wake.get_or_insert_with(WakeOn::new);
///         loop {
///             match receiver.try_recv() {
///                 Ok(number) => sum += number,
///                 Err(mpsc::TryRecvError::Disconnected) => {
///                     assert_eq!(sum, 6);
///                     return ControlFlow::Break(());
///                 }
///                 Err(mpsc::TryRecvError::Empty) if wake.arm(&receiver) => {}
///                 Err(mpsc::TryRecvError::Empty) => return ControlFlow::Continue(()),
///             }
///         }
///     });
///     (1..=3).try_for_each(|number| sender.send(number)).unwrap();
///     drop(sender);
///     fiber.join().unwrap();
/// });
/// ```
pub struct WakeOn {
    watcher: Watcher,
}

impl WakeOn {
    /// For the calling fiber, or the calling thread where there is none. Not a yield point.
    #[allow(clippy::new_without_default)] // it belongs to the fiber that calls it
    pub fn new() -> Self {
        Self { watcher: Watcher::new() }
    }

    /// Returns true if the thing is ready. Otherwise the fiber is woken when it may be.
    ///
    /// A thing that is armed already may be armed again. A [`Timer`](super::Timer) wakes no fiber
    /// that rests: call [`wake_at`](crate::wake_at).
    ///
    /// Not a yield point.
    #[must_use = "a fiber that rests although the thing is ready is not woken"]
    pub fn arm(&self, thing: &dyn Selectable) -> bool {
        thing.watch(&self.watcher)
    }

    /// Takes an [`arm`](Self::arm) back, so that the thing wakes the fiber no more. Not a yield
    /// point.
    ///
    /// ```
    /// use straightline_sched::sync::{Flag, WakeOn};
    ///
    /// let (wake, flag) = (WakeOn::new(), Flag::new());
    /// assert!(!wake.arm(&flag));
    /// wake.disarm(&flag);
    /// flag.set();
    /// assert!(wake.arm(&flag));
    /// ```
    pub fn disarm(&self, thing: &dyn Selectable) {
        thing.unwatch(&self.watcher);
    }
}

impl fmt::Debug for WakeOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeOn").finish_non_exhaustive()
    }
}
