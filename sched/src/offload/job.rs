//! A closure on its way to a thread, and its result on the way back.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use parking_lot::Mutex;

use super::error::{Kind, OffloadError};
use crate::core::discard;
use crate::sync::waiter::Waiter;

/// A job as the pool sees it. Every accepted job gets exactly one call of `deliver` (after `run`)
/// or `refuse`, unless its caller has left.
pub(super) trait Job: Send + Sync {
    /// Runs the closure and keeps its result, or the payload of its panic.
    fn run(&self);
    /// Hands the result to the caller.
    fn deliver(&self);
    /// Hands an error to the caller instead.
    fn refuse(&self, why: Kind);
}

/// A job as its caller sees it.
pub(super) struct Slot<F, T> {
    state: Mutex<State<F, T>>,
    caller: Waiter,
}

enum State<F, T> {
    /// Not begun.
    Waiting(F),
    /// Running, or taken.
    Away,
    /// Over, but not counted yet.
    Ran(thread::Result<T>),
    /// Ready to be taken by the caller.
    Settled(Result<thread::Result<T>, Kind>),
}

impl<F, T> Slot<F, T> {
    pub(super) fn new(job: F) -> Self {
        Self { state: Mutex::new(State::Waiting(job)), caller: Waiter::current() }
    }

    /// The result, if it is ready.
    ///
    /// # Panics
    ///
    /// Raises the job's own payload if it panicked.
    pub(super) fn take(&self) -> Option<Result<T, OffloadError>> {
        let settled = {
            let mut state = self.state.lock();
            match mem::replace(&mut *state, State::Away) {
                State::Settled(settled) => settled,
                other => {
                    *state = other;
                    return None;
                }
            }
        };
        match settled {
            Ok(Ok(value)) => Some(Ok(value)),
            Ok(Err(payload)) => resume_unwind(payload),
            Err(why) => Some(Err(why.into())),
        }
    }
}

impl<F, T> Job for Slot<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        // The lock is free while the job runs: the caller may look meanwhile.
        let begun = mem::replace(&mut *self.state.lock(), State::Away);
        if let State::Waiting(job) = begun {
            let result = catch_unwind(AssertUnwindSafe(job));
            *self.state.lock() = State::Ran(result);
        }
    }

    fn deliver(&self) {
        let mut state = self.state.lock();
        if let State::Ran(result) = mem::replace(&mut *state, State::Away) {
            *state = State::Settled(Ok(result));
        }
        drop(state);
        self.caller.wake();
    }

    fn refuse(&self, why: Kind) {
        // The closure is dropped when the lock is free: its destructors are the user's code.
        let closure = mem::replace(&mut *self.state.lock(), State::Settled(Err(why)));
        self.caller.wake();
        discard(closure);
    }
}

impl<F, T> Drop for Slot<F, T> {
    /// Drops a closure or a result that was not taken. The last owner is a thread of the pool, or a
    /// caller that unwinds.
    fn drop(&mut self) {
        match mem::replace(self.state.get_mut(), State::Away) {
            State::Waiting(closure) => discard(closure),
            State::Ran(result) | State::Settled(Ok(result)) => discard(result),
            State::Away | State::Settled(Err(_)) => {}
        }
    }
}
