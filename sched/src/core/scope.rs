//! Scopes: fibers that end before the call that started them returns, and so may borrow from it.
//!
//! **Why the borrow is sound.** The data that a child borrows lives in frames above the call of
//! [`scope`], and that call neither returns nor unwinds before every child is over:
//! - the wait is code after the body, and no destructor, so no code can `mem::forget` it;
//! - the body runs under `catch_unwind`: a panic, a cancel, a deadline that passes, a `?` or
//!   `return` in the closure all lead to the same place, which is [`close`];
//! - there it is a loop around the bare suspension, and no yield point. It looks at no cancel,
//!   deadline, mask or hook, nor at the thread's count of panics, and nothing unwinds out of it: an
//!   unwind would end the process. A scope cannot end on another fiber than its own either, to
//!   which a coroutine inside of it could carry it;
//! - a child is over when its body has returned or unwound, and its closure, its result (unless a
//!   handle exists, whose type then keeps the borrow) and its fiber-locals have been dropped, all
//!   on its own stack. A child that has not begun when it is cancelled drops its closure on its
//!   stack first;
//! - a child that is *abandoned* is never over. None of its code ever runs again, but other code
//!   may go on with the data that it has borrowed: a thread of a `std::thread::scope` in its
//!   frames, to which it lent that data. So the scope never ends either. The scope's fiber is
//!   abandoned in the scope's wait, and then the fibers that wait for that one, up to a fiber that
//!   borrows nothing. All of their frames stay where they are, for ever, and so does the thread
//!   (`remains`);
//! - while the caller unwinds, a wait would harm other fibers, so [`Scope::spawn`] then drops the
//!   closure at once. The soundness does not depend on that.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;

use super::children::cancel_children;
use super::contain::{contain, discard};
use super::join::JoinHandle;
use super::local;
use super::park::park_for;
use super::shard::Shard;
use super::spawn::{FiberBuilder, spawn_child};
use crate::fiber::{
    Abandoned, ScopeState, Suspend, Wait, abandon_running, running, suspend_running, unwind,
};

/// Where the fibers of a [`scope`] are started.
pub struct Scope<'scope, 'env: 'scope> {
    scope_state: Rc<ScopeState>,
    /// Invariant in both lifetimes, as in [`std::thread::Scope`]: neither may be shrunk or grown.
    invariant: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

/// Where the fibers of a [`try_scope`] are started.
pub struct TryScope<'scope, 'env: 'scope, E> {
    scope: Scope<'scope, 'env>,
    error: RefCell<Option<E>>,
}

/// Runs `body`, which may start fibers that borrow from around the call; returns when all of them
/// are over.
///
/// The fibers inherit the caller's deadline. If `body` panics, is cancelled or passes its deadline,
/// they are cancelled, and the unwind goes on when they have ended. The same happens while the
/// scope waits for them after `body` has returned.
///
/// A fiber of the scope that is [abandoned](crate::JoinError::is_abandoned) is never over: then
/// this call neither returns nor unwinds. The calling fiber is abandoned as well, as soon as it
/// waits for the scope's end, and so is every fiber that waits for that one, up to a fiber of
/// [`spawn`](crate::spawn).
///
/// # Blocking
///
/// A yield point while fibers of the scope are alive.
///
/// # Cancellation
///
/// Cancels the fibers, waits until they have unwound, then unwinds.
///
/// # Panics
///
/// With the panic of `body`; otherwise with that of a fiber that was not joined, after the other
/// fibers have been cancelled and have ended. Outside of a fiber.
///
/// The process is ended if a coroutine of another library has carried the scope to another fiber,
/// and the scope ends there before its fibers.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let text = String::from("borrowed, not moved");
///     let mut bytes = 0;
///     let words = sched::scope(|s| {
///         s.spawn(|| bytes = text.len());
///         s.spawn(|| text.split(' ').count()).join().unwrap()
///     });
///     assert_eq!((words, bytes), (3, 19));
/// });
/// ```
#[track_caller]
pub fn scope<'env, T>(body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope::new();
    run_scope(&scope.scope_state, || body(&scope), |_| false)
}

/// As [`scope`], for work that can fail: the first error cancels the other fibers and is returned.
///
/// The error is one that `body` returns, or that a fiber of [`TryScope::spawn`] returns. Later
/// errors are dropped. `body` itself is not interrupted by a fiber's error.
///
/// # Blocking
///
/// As [`scope`].
///
/// # Cancellation
///
/// As [`scope`].
///
/// # Errors
///
/// The first error.
///
/// # Panics
///
/// As [`scope`].
///
/// ```
/// use std::time::Duration;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let outcome = sched::try_scope(|s| {
///         s.spawn(|| Ok(sched::sleep(Duration::from_secs(3_600)))); // is cancelled
///         s.spawn(|| Err("no such user"));
///         Ok(())
///     });
///     assert_eq!(outcome, Err("no such user"));
/// });
/// ```
#[track_caller]
pub fn try_scope<'env, T, E>(
    body: impl for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<T, E>,
) -> Result<T, E> {
    let scope = TryScope { scope: Scope::new(), error: RefCell::new(None) };
    let run = || body(&scope).map_err(|error| scope.record_error(error)).ok();
    let value = run_scope(&scope.scope.scope_state, run, Option::is_none);
    match (scope.error.take(), value) {
        (Some(error), _) => Err(error),
        (None, Some(value)) => Ok(value),
        (None, None) => unreachable!("the body's error was noted"),
    }
}

impl<'scope> Scope<'scope, '_> {
    fn new() -> Self {
        let scope_state = local::with(|shard| ScopeState::new(shard.id, shard.current()));
        Self { scope_state: Rc::new(scope_state), invariant: PhantomData }
    }

    /// Runs `body` as a fiber of the scope, beginning when the caller next yields.
    ///
    /// Not a yield point. In a caller that unwinds, and after [`cancel`](Self::cancel), the fiber
    /// never begins and counts as cancelled.
    ///
    /// # Panics
    ///
    /// When there is no stack; [`FiberBuilder::spawn_scoped`] returns that as an error.
    #[track_caller]
    pub fn spawn<T: 'scope>(&'scope self, body: impl FnOnce() -> T + 'scope) -> JoinHandle<T> {
        match FiberBuilder::new().spawn_scoped(self, body) {
            Ok(handle) => handle,
            Err(error) => panic!("straightline: cannot spawn a fiber: {error}"),
        }
    }

    /// Cancels every fiber of the scope, also those that are spawned from now on.
    ///
    /// Not a yield point; the scope's end waits for the fibers.
    ///
    /// ```
    /// use straightline_sched::{self as sched, sync::mpsc};
    ///
    /// sched::run(|| {
    ///     let first = sched::scope(|s| {
    ///         let (sender, answers) = mpsc::unbounded();
    ///         for server in ["a", "b", "c"] {
    ///             let sender = sender.clone();
    ///             s.spawn(move || sender.send(server)); // asks the server, say
    ///         }
    ///         let first = answers.recv().unwrap();
    ///         s.cancel(); // the others need not go on
    ///         first
    ///     });
    ///     assert_eq!(first, "a");
    /// });
    /// ```
    pub fn cancel(&self) {
        local::with(|shard| cancel_children(shard, &self.scope_state));
    }

    /// Waits until every fiber that the scope has so far is over. The scope's end does that anyway;
    /// this is for a body that wants to go on afterwards.
    ///
    /// # Blocking
    ///
    /// A yield point, while there are any.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding; within the scope the fibers go on.
    ///
    /// # Panics
    ///
    /// On another fiber than the scope's own: a fiber of the scope would wait for itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     sched::scope(|s| {
    ///         s.spawn(sched::park); // does not end by itself
    ///         assert!(sched::deadline(Duration::from_millis(2), || s.join_all()).is_err());
    ///         s.cancel();
    ///     });
    /// });
    /// ```
    #[track_caller]
    pub fn join_all(&self) {
        let is_own = Rc::ptr_eq(&local::with(Shard::current), &self.scope_state.parent);
        assert!(is_own, "straightline: join_all on another fiber than the scope's own");
        wait_for_children(&self.scope_state);
    }

    pub(super) fn scope_state(&self) -> &Rc<ScopeState> {
        &self.scope_state
    }
}

impl<'scope, E> TryScope<'scope, '_, E> {
    /// Runs `body` as a fiber of the scope. Its error is the scope's, if it is the first.
    ///
    /// Not a yield point. Results other than the error reach the scope through a channel or through
    /// borrowed data.
    ///
    /// # Panics
    ///
    /// When there is no stack.
    #[track_caller]
    pub fn spawn(&'scope self, body: impl FnOnce() -> Result<(), E> + 'scope)
    where
        E: 'scope,
    {
        self.scope.spawn(move || {
            if let Err(error) = body() {
                self.record_error(error);
                self.scope.cancel();
            }
        });
    }

    /// Keeps the error if it is the first.
    fn record_error(&self, error: E) {
        let mut first = self.error.borrow_mut();
        if first.is_none() {
            *first = Some(error);
        } else {
            // Its destructor may wait, and another error may come meanwhile.
            drop(first);
            drop(error);
        }
    }

    /// Cancels every fiber of the scope, as [`Scope::cancel`]; that alone is no error.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let outcome = sched::try_scope(|s| {
    ///         s.spawn(|| Ok::<(), &str>(sched::park())); // does not end by itself
    ///         s.cancel();
    ///         Ok("done")
    ///     });
    ///     assert_eq!(outcome, Ok("done"));
    /// });
    /// ```
    pub fn cancel(&self) {
        self.scope.cancel();
    }
}

/// Runs a scope's body, and returns or unwinds when all of its children are over.
fn run_scope<T>(
    scope_state: &Rc<ScopeState>,
    body: impl FnOnce() -> T,
    is_failure: impl FnOnce(&T) -> bool,
) -> T {
    // One catch for the body and the wait after it: both may raise, and then the children are
    // cancelled.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let value = body();
        if !scope_state.is_over() && is_failure(&value) {
            local::with(|shard| cancel_children(shard, scope_state));
        }
        wait_for_children(scope_state);
        value
    }));
    close(scope_state);
    let panic = scope_state.end();
    let value = match outcome {
        Ok(value) => value,
        Err(payload) => {
            panic.into_iter().for_each(discard);
            resume_unwind(payload)
        }
    };
    if let Some(payload) = panic {
        discard(value);
        resume_unwind(payload);
    }
    value
}

/// The wait that may raise; then children may be left.
fn wait_for_children(scope_state: &ScopeState) {
    while !scope_state.is_over() {
        if scope_state.is_lost() {
            abandon_running(Abandoned::WithChild);
        }
        let waited = local::with(|shard| {
            if scope_state.has_panic() {
                cancel_children(shard, scope_state);
            }
            let is_own = Rc::ptr_eq(&shard.current(), &scope_state.parent);
            is_own && park_for(shard, Wait::Children).is_ok()
        });
        if !waited {
            // Nothing would wake it; or it unwinds, or has swallowed its cancels too often.
            return;
        }
    }
}

/// Cancels the children that are left, and waits for them: returns when none is left, and does not
/// return otherwise. The module's text has the reason for each of its lines.
fn close(scope_state: &ScopeState) {
    if scope_state.is_over() {
        return;
    }
    let bomb = EndsTheProcess;
    // It may call a sink for traces, whose panic must not end the wait.
    contain(|| local::with(|shard| cancel_children(shard, scope_state)));
    while !scope_state.is_over() {
        if scope_state.is_lost() {
            abandon_running(Abandoned::WithChild);
        }
        if !running().is_some_and(|fiber| Rc::ptr_eq(&fiber, &scope_state.parent)) {
            unwind::abort("a scope ends on another fiber than its own, and has fibers left");
        }
        let now = local::with(|shard| shard.clock.turn());
        scope_state.parent.waiting.begin(Wait::Children, now);
        suspend_running(Suspend::Parked);
        scope_state.parent.waiting.end();
    }
    mem::forget(bomb);
}

/// Ends the process when it is dropped, which only an unwind does.
struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        unwind::abort("a scope would unwind over its fibers");
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.scope_state.children().len();
        f.debug_struct("Scope").field("children", &children).finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.fmt(f)
    }
}

impl FiberBuilder {
    /// As [`FiberBuilder::spawn`], for a fiber of a [`scope`], which may borrow.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`FiberBuilder::spawn`].
    ///
    /// ```
    /// use straightline_sched::{self as sched, FiberBuilder};
    ///
    /// sched::run(|| {
    ///     let text = String::from("borrowed");
    ///     sched::scope(|s| {
    ///         let fiber = FiberBuilder::new().name("reader").spawn_scoped(s, || text.len())?;
    ///         assert_eq!(fiber.join().unwrap(), 8);
    ///         std::io::Result::Ok(())
    ///     })
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_scoped<'scope, T: 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        body: impl FnOnce() -> T + 'scope,
    ) -> io::Result<JoinHandle<T>> {
        spawn_child(self, Location::caller(), scope.scope_state(), body)
    }
}
