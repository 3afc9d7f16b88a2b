//! The counting gate under [`Semaphore`](super::Semaphore), [`Mutex`](super::Mutex),
//! [`RwLock`](super::RwLock) and [`OnceCell`](super::OnceCell).
//!
//! It holds a number of permits. Who needs more than are free waits in a line, and is handed what
//! it needs when it is at the front: a big need blocks the small ones behind it, and a newcomer
//! overtakes nobody. So nobody starves.
//!
//! Invariant, whenever the lock is free: the front of the line needs more than is free.

use parking_lot::Mutex;

use super::line::{End, Line, Place, Rules};
use super::owner::Owner;
use super::waiter::{Wakes, may_wait};
use crate::core::{lock_deadlock, waits_in_chain};
use crate::fiber::{CallName, Lock, LockWait, Wait};

pub(super) struct Gate {
    state: Mutex<State>,
}

struct State {
    free: usize,
    /// Who takes this many holds the gate alone, and is noted as its owner.
    full: usize,
    owner: Owner,
    /// Nobody is let in any more.
    closed: bool,
    line: Line,
}

/// Why the gate lets the caller not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It would have to wait, and unwinds.
    Unwinding,
    /// The gate is closed.
    Closed,
    /// The caller holds all of it already, and would wait for itself.
    Held,
}

impl Gate {
    /// A gate with that many permits, where whoever takes `full` of them holds it alone.
    pub(super) const fn new(free: usize, full: usize) -> Self {
        let line = Line::new();
        let state = State { free, full, owner: Owner::NOBODY, closed: false, line };
        Self { state: Mutex::new(state) }
    }

    /// Takes `need` permits if it need not wait for them; returns whether.
    pub(super) fn try_acquire(&self, need: usize) -> bool {
        self.state.lock().try_acquire(need)
    }

    /// Takes `need` permits. A yield point if it has to wait.
    pub(super) fn acquire(&self, need: usize, call: CallName) -> Result<(), Refused> {
        if self.try_acquire(need) {
            return Ok(());
        }
        may_wait().map_err(|_| Refused::Unwinding)?;
        let mut state = self.state.lock();
        if let Some(holder) = state.owner.id().filter(|holder| waits_in_chain(*holder)) {
            // Not under the lock: somebody in the chain may wait at this very gate.
            drop(state);
            if let Some(text) = lock_deadlock(call, holder) {
                panic!("{text}");
            }
            state = self.state.lock();
        }
        if state.try_acquire(need) {
            return Ok(());
        }
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.owner.is_caller() {
            return Err(Refused::Held);
        }
        let place = Place::join(&self.state, state, State::RULES, need);
        let holder = || self.state.lock().owner.id();
        let lock = Lock { call, holder: &holder };
        // SAFETY: it goes into the wait that follows, and `park` keeps it as the fiber's only while
        // that is suspended below this frame: it takes it back before it returns or raises.
        let wait = Wait::Lock(unsafe { LockWait::new(&lock) });
        match place.wait_for(wait, |_, end| end) {
            Ok(End::Called) => Ok(()),
            Ok(End::Dismissed) => Err(Refused::Closed),
            Err(_) => Err(Refused::Unwinding),
        }
    }

    /// Gives permits back, or adds new ones, and hands them on.
    pub(super) fn release(&self, count: usize) {
        let mut wakes = Wakes::default();
        self.state.lock().release(count, &mut wakes);
        wakes.wake_all();
    }

    /// Turns away everybody who waits, and everybody who comes from now on.
    pub(super) fn close(&self) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.closed = true;
        state.line.dismiss_all(&mut wakes);
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
    const RULES: Rules<Self> = Rules { line: |state| &mut state.line, left: Self::left };

    fn try_acquire(&mut self, need: usize) -> bool {
        if self.closed || self.free < need || !self.line.is_empty() {
            return false;
        }
        self.free -= need;
        if need == self.full {
            self.owner = Owner::current();
        }
        true
    }

    fn release(&mut self, count: usize, wakes: &mut Wakes) {
        self.free = self.free.checked_add(count).expect("no more permits than usize::MAX");
        if count == self.full {
            self.owner = Owner::NOBODY;
        }
        self.let_in(wakes);
    }

    /// Lets in from the front who can be.
    fn let_in(&mut self, wakes: &mut Wakes) {
        while let Some(need) = self.line.front_need() {
            if need > self.free {
                return;
            }
            self.free -= need;
            if need == self.full {
                self.owner = self.line.front_owner();
            }
            self.line.call_front(wakes);
        }
    }

    /// Somebody unwound in the line: see [`Rules::left`].
    fn left(&mut self, called_for: Option<usize>, wakes: &mut Wakes) {
        self.release(called_for.unwrap_or(0), wakes);
    }
}
