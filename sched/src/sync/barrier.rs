//! A point where a number of fibers and threads meet.

use std::fmt;

use parking_lot::Mutex;

use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use crate::core::{Unwinding, charge};

/// Holds fibers and threads back until a number of them has arrived, round after round.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched::{self as sched, sync::Barrier};
///
/// sched::run(|| {
///     let barrier = Rc::new(Barrier::new(3));
///     let fibers: Vec<_> = (0..3)
///         .map(|_| {
///             let barrier = Rc::clone(&barrier);
///             sched::spawn(move || barrier.wait().unwrap().is_leader())
///         })
///         .collect();
///     let leaders = fibers.into_iter().filter_map(|fiber| fiber.join().ok()).filter(|&is| is);
///     assert_eq!(leaders.count(), 1);
/// });
/// ```
pub struct Barrier {
    /// How many have to arrive.
    size: usize,
    state: Mutex<State>,
}

struct State {
    /// How many have arrived in this round; less than `size`, and as many as stand in the queue.
    arrived: usize,
    queue: WaitQueue,
}

/// Tells one member of a round, the leader, from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    leader: bool,
}

impl Barrier {
    /// A barrier that lets a round go when `size` callers have arrived; 0 means the same as 1.
    pub const fn new(size: usize) -> Self {
        Self { size, state: Mutex::new(State { arrived: 0, queue: WaitQueue::new() }) }
    }

    /// Waits until as many callers have arrived as the barrier is made for.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits unless the caller is the last that was missing. Even then it lets
    /// other fibers run now and then.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here counts as not having arrived:
    /// another one has to arrive in its place.
    ///
    /// # Errors
    ///
    /// [`Unwinding`] if others are missing and the caller unwinds. The caller has then not arrived.
    ///
    /// ```
    /// use straightline_sched::sync::Barrier;
    ///
    /// assert!(Barrier::new(1).wait().unwrap().is_leader()); // no other is missing
    /// ```
    pub fn wait(&self) -> Result<BarrierWaitResult, Unwinding> {
        charge();
        loop {
            if self.arrive_last() {
                return Ok(BarrierWaitResult { leader: true });
            }
            may_wait()?;
            let mut state = self.state.lock();
            if state.arrived + 1 >= self.size {
                continue; // the others have arrived meanwhile
            }
            state.arrived += 1;
            Ticket::join(&self.state, state, POLICY, 1).wait(&"Barrier::wait")?;
            return Ok(BarrierWaitResult { leader: false });
        }
    }

    /// Lets the others go if only the caller was missing; returns whether.
    fn arrive_last(&self) -> bool {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        let last = state.arrived + 1 >= self.size;
        if last {
            state.arrived = 0;
            state.queue.dismiss_all(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
        last
    }
}

impl BarrierWaitResult {
    /// Whether the caller arrived last: true for exactly one of each round.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A waiter that leaves has not arrived.
const POLICY: QueuePolicy<State> =
    QueuePolicy { queue: |state| &mut state.queue, left: |state, _, _| state.arrived -= 1 };
