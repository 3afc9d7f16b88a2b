//! A flag that fibers and threads wait for.

use std::fmt;

use parking_lot::Mutex;

use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use super::watch::{Watch, Watcher, Watchers};
use crate::core::{Unwinding, charge};

/// A flag to wait for: while it is set, every caller passes; while it is clear, they wait.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, sync::Flag};
///
/// sched::run(|| {
///     let ready = Rc::new(Flag::new());
///     let fiber = sched::spawn({
///         let ready = Rc::clone(&ready);
///         move || ready.wait().is_ok()
///     });
///     sched::yield_now(); // the fiber waits
///     ready.set();
///     assert!(fiber.join().unwrap());
///     ready.wait().unwrap(); // at once
/// });
/// # std::io::Result::Ok(())
/// ```
pub struct Flag {
    state: Mutex<State>,
}

struct State {
    set: bool,
    queue: WaitQueue,
    watchers: Watchers,
}

impl Flag {
    /// A flag that has not happened.
    pub const fn new() -> Self {
        let state = State { set: false, queue: WaitQueue::new(), watchers: Watchers::new() };
        Self { state: Mutex::new(state) }
    }

    /// Waits until the flag is set.
    ///
    /// A caller that waited when the flag was set passes, even if it is cleared again at once.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits unless the flag is set, and even then lets other fibers run now and
    /// then.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and leaves the flag as it is.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if it would have to wait and the caller unwinds.
    pub fn wait(&self) -> Result<(), Unwinding> {
        charge();
        if self.is_set() {
            return Ok(());
        }
        may_wait()?;
        let state = self.state.lock();
        if state.set {
            return Ok(());
        }
        Ticket::join(&self.state, state, POLICY, 1).wait(&"Flag::wait")?;
        Ok(())
    }

    /// Whether the flag is set. Not a yield point.
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Sets the flag and lets all waiters pass. Not a yield point.
    pub fn set(&self) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.set = true;
        state.queue.dismiss_all(&mut wakes);
        state.watchers.wake_all(&mut wakes);
        drop(state);
        wakes.wake_all();
    }

    /// Clears the flag: from now on callers wait. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::Flag;
    ///
    /// let paused = Flag::new();
    /// paused.set();
    /// assert!(paused.is_set());
    /// paused.clear();
    /// assert!(!paused.is_set());
    /// ```
    pub fn clear(&self) {
        self.state.lock().set = false;
    }
}

impl Watch for Flag {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.state.lock();
        if !state.set {
            state.watchers.add(watcher);
        }
        state.set
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.state.lock().watchers.remove(watcher);
    }
}

impl Default for Flag {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag").field("set", &self.is_set()).finish()
    }
}

/// A waiter that leaves changes nothing for the others.
const POLICY: QueuePolicy<State> =
    QueuePolicy { queue: |state| &mut state.queue, left: |_, _, _| () };
