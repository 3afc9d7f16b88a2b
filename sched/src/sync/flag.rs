//! A flag that fibers and threads wait for.

use std::fmt;
use std::sync::Arc;

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

/// A [`Flag`] that the holder can wait for and cannot change, from [`Flag::reader`].
///
/// Clones are readers of the same flag. It is a thing to [`select`](super::select) on, as the flag
/// itself is.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use straightline_sched::sync::{Flag, FlagReader, after, select};
///
/// /// Works until it is told to stop.
/// fn work(stop: &FlagReader) -> u32 {
///     let mut rounds = 0;
///     while select(&[stop, &after(Duration::from_millis(1))]) != Ok(0) {
///         rounds += 1;
///     }
///     rounds
/// }
///
/// let stop = Arc::new(Flag::new());
/// let reader = stop.reader();
/// let worker = std::thread::spawn(move || work(&reader)); // a thread waits as a fiber does
/// stop.set();
/// worker.join().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct FlagReader {
    flag: Arc<Flag>,
}

impl Flag {
    /// A view of the flag that can wait for it and cannot change it. Not a yield point.
    pub fn reader(self: &Arc<Self>) -> FlagReader {
        FlagReader { flag: Arc::clone(self) }
    }
}

impl FlagReader {
    /// As [`Flag::wait`].
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if it would have to wait and the caller unwinds.
    pub fn wait(&self) -> Result<(), Unwinding> {
        self.flag.wait()
    }

    /// Whether the flag is set. Not a yield point.
    pub fn is_set(&self) -> bool {
        self.flag.is_set()
    }
}

impl Watch for FlagReader {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.flag.watch(watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.flag.unwatch(watcher);
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
