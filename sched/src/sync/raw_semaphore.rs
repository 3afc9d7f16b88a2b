//! The semaphore without a guard, under [`Semaphore`](super::Semaphore), [`Mutex`](super::Mutex),
//! [`RwLock`](super::RwLock) and [`OnceCell`](super::OnceCell).
//!
//! It has a number of permits. A caller that needs more permits than are free waits in a queue, and
//! is granted them when it is at the front: a big need blocks the small needs behind it, and no
//! later caller overtakes. So no caller starves.
//!
//! Invariant, whenever the short lock is free: the front waiter needs more permits than are free.

use parking_lot::Mutex;

use super::owner::Owner;
use super::wait_queue::{QueuePolicy, Ticket, WaitEnd, WaitQueue};
use super::waiter::{Wakes, may_wait};
use crate::core::{charge, current_id, may_close_circle, record_circle, uncancellable};
use crate::fiber::CallName;

pub(super) struct RawSemaphore {
    state: Mutex<State>,
}

struct State {
    free: usize,
    /// The permits that are free and those that are out. Only `add` and `forget` change it.
    total: usize,
    /// A caller that takes this many has no other holder beside it, and is noted as the owner.
    full: usize,
    owner: Owner,
    /// No permit is granted any more.
    closed: bool,
    queue: WaitQueue,
}

/// Why the caller gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It would have to wait, and unwinds.
    Unwinding,
    /// The semaphore is closed.
    Closed,
}

/// Some permits, given back when it is dropped.
pub(super) struct HeldPermits<'g> {
    raw: &'g RawSemaphore,
    count: usize,
}

impl RawSemaphore {
    /// A semaphore with `free` permits, where the caller that takes `full` of them is the owner.
    pub(super) const fn new(free: usize, full: usize) -> Self {
        let queue = WaitQueue::new();
        let state = State { free, total: free, full, owner: Owner::NONE, closed: false, queue };
        Self { state: Mutex::new(state) }
    }

    /// Takes `need` permits if it need not wait for them; returns whether it has.
    pub(super) fn try_acquire(&self, need: usize) -> bool {
        self.state.lock().try_acquire(need)
    }

    /// Takes `need` permits. A yield point if it has to wait, and now and then.
    pub(super) fn acquire(&self, need: usize, call: CallName) -> Result<(), Refused> {
        charge();
        if self.try_acquire(need) {
            return Ok(());
        }
        may_wait().map_err(|_| Refused::Unwinding)?;
        self.wait_in_line(need, call, &|| ())
    }

    /// Takes `need` permits of a semaphore that is never closed. No cancel and no deadline ends the
    /// wait. The caller does not unwind. If it is abandoned in here, `also_leave` is called.
    pub(super) fn acquire_masked(&self, need: usize, call: CallName, also_leave: &dyn Fn()) {
        let acquired = if self.try_acquire(need) {
            Ok(())
        } else if current_id().is_some() {
            uncancellable(|| self.wait_in_line(need, call, also_leave))
        } else {
            self.wait_in_line(need, call, also_leave)
        };
        acquired.expect("a masked caller that does not unwind may wait");
    }

    /// Whether the calling fiber is the owner.
    pub(super) fn is_held_by_caller(&self) -> bool {
        self.state.lock().owner.is_caller()
    }

    fn wait_in_line(
        &self,
        need: usize,
        call: CallName,
        also_leave: &dyn Fn(),
    ) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.try_acquire(need) {
            return Ok(());
        }
        if state.closed {
            return Err(Refused::Closed);
        }
        let suspect = state.owner.id().filter(|holder| may_close_circle(*holder));
        let ticket = Ticket::join(&self.state, state, State::POLICY, need);
        if let Some(holder) = suspect {
            record_circle(holder);
        }
        let holder = || self.state.lock().owner.id();
        match ticket.wait_for_lock(call, &holder, also_leave) {
            Ok(WaitEnd::Granted) => Ok(()),
            Ok(WaitEnd::Dismissed) => Err(Refused::Closed),
            Err(_) => Err(Refused::Unwinding),
        }
    }

    /// Gives permits back, and hands them on.
    pub(super) fn release(&self, count: usize) {
        let mut wakes = Wakes::default();
        self.state.lock().release(count, &mut wakes);
        wakes.wake_all();
    }

    /// Adds new permits, and hands them on; returns false if there would be too many in all.
    pub(super) fn add(&self, count: usize) -> bool {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        let Some(total) = state.total.checked_add(count) else { return false };
        state.total = total;
        state.release(count, &mut wakes);
        drop(state);
        wakes.wake_all();
        true
    }

    /// Forgets permits that are out.
    pub(super) fn forget(&self, count: usize) {
        self.state.lock().total -= count;
    }

    /// Refuses all that wait, and all later callers.
    pub(super) fn close(&self) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.closed = true;
        state.queue.dismiss_all(&mut wakes);
        drop(state);
        wakes.wake_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(super) fn free(&self) -> usize {
        self.state.lock().free
    }
}

impl State {
    const POLICY: QueuePolicy<Self> =
        QueuePolicy { queue: |state| &mut state.queue, left: Self::left };

    fn try_acquire(&mut self, need: usize) -> bool {
        if self.closed || self.free < need || !self.queue.is_empty() {
            return false;
        }
        self.free -= need;
        if need == self.full {
            self.owner = Owner::current();
        }
        true
    }

    fn release(&mut self, count: usize, wakes: &mut Wakes) {
        self.free += count; // at most `total`
        if count == self.full {
            self.owner = Owner::NONE;
        }
        self.let_in(wakes);
    }

    /// Grants to the waiters at the front while there are enough permits.
    fn let_in(&mut self, wakes: &mut Wakes) {
        while let Some(need) = self.queue.front_need() {
            if need > self.free {
                return;
            }
            self.free -= need;
            if need == self.full {
                self.owner = self.queue.front_owner();
            }
            self.queue.grant_front(wakes);
        }
    }

    /// A waiter has left the queue: see [`QueuePolicy::left`].
    fn left(&mut self, granted: Option<usize>, wakes: &mut Wakes) {
        self.release(granted.unwrap_or(0), wakes);
    }
}

impl<'g> HeldPermits<'g> {
    /// The caller has acquired them.
    pub(super) fn new(raw: &'g RawSemaphore, count: usize) -> Self {
        Self { raw, count }
    }

    pub(super) fn raw(&self) -> &'g RawSemaphore {
        self.raw
    }
}

impl Drop for HeldPermits<'_> {
    fn drop(&mut self) {
        self.raw.release(self.count);
    }
}
