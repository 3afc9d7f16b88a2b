//! Waiting until all members of a group have finished.
//!
//! The members are counted by clones, as crossbeam does, and not by `add` and `done` as in Go. A
//! fiber that owns a clone gives it back however the fiber ends, and no clone can be given back
//! twice.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use crate::core::{Unwinding, charge};

/// Waits until every clone of it is gone.
///
/// Give a clone to each fiber or thread that takes part; it counts until it is dropped. To learn
/// what a fiber returned, join it instead.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use straightline_sched::{self as sched, sync::WaitGroup};
///
/// sched::run(|| {
///     let (group, done) = (WaitGroup::new(), Rc::new(Cell::new(0)));
///     for _ in 0..3 {
///         let (group, done) = (group.clone(), Rc::clone(&done));
///         sched::spawn(move || {
///             sched::yield_now();
///             done.set(done.get() + 1);
///             drop(group);
///         });
///     }
///     group.wait().unwrap();
///     assert_eq!(done.get(), 3);
/// });
/// ```
pub struct WaitGroup {
    shared: Arc<Mutex<State>>,
}

struct State {
    /// How many clones exist.
    members: usize,
    queue: WaitQueue,
}

impl WaitGroup {
    /// A group with one member, which is the value returned.
    pub fn new() -> Self {
        Self { shared: Arc::new(Mutex::new(State { members: 1, queue: WaitQueue::new() })) }
    }

    /// Drops this clone and waits until all others are dropped, or wait as well.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits unless this is the last clone, and even then lets other fibers run
    /// now and then.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. This clone does not count any more;
    /// nothing changes for the others.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if there are others and the caller unwinds.
    pub fn wait(self) -> Result<(), Unwinding> {
        charge();
        let shared = Arc::clone(&self.shared);
        drop(self);
        if shared.lock().members == 0 {
            return Ok(());
        }
        may_wait()?;
        let state = shared.lock();
        if state.members == 0 {
            return Ok(());
        }
        Ticket::join(&shared, state, POLICY, 1).wait(&"WaitGroup::wait")?;
        Ok(())
    }
}

impl Clone for WaitGroup {
    /// One more member. Not a yield point.
    fn clone(&self) -> Self {
        self.shared.lock().members += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.members -= 1;
        if state.members == 0 {
            state.queue.dismiss_all(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter's writer may wait, so the lock is not held during the write.
        let members = self.shared.lock().members;
        f.debug_struct("WaitGroup").field("members", &members).finish()
    }
}

/// A waiter that leaves changes nothing for the others.
const POLICY: QueuePolicy<State> =
    QueuePolicy { queue: |state| &mut state.queue, left: |_, _, _| () };
