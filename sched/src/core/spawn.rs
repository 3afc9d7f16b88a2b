//! Starting fibers.
//!
//! A fiber never leaves the thread it was born on. That is why `spawn` asks neither for `Send` nor
//! for `Arc`: what a fiber holds, `Rc` and `Cell` included, is only ever touched by one thread.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

use super::join::{JoinHandle, Packet};
use super::local;
use super::shard::Shard;
use crate::fiber::stack::FiberStack;
use crate::fiber::{Body, Episodes, FiberCell, FiberCoroutine};

/// Runs `body` as a new fiber of this thread, beginning when the caller next yields.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber, and when no stack can be had; [`try_spawn`] returns that as an error.
///
/// ```
/// use std::rc::Rc;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let shared = Rc::new(5); // no Send, no Arc
///     let fiber = sched::spawn({
///         let shared = Rc::clone(&shared);
///         move || *shared + 1
///     });
///     assert_eq!(fiber.join().unwrap(), 6);
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn spawn<T: 'static>(body: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    match try_spawn(body) {
        Ok(handle) => handle,
        Err(error) => panic!("straightline: cannot spawn a fiber: {error}"),
    }
}

/// As [`spawn`], but a missing stack is an error.
///
/// # Errors
///
/// [`io::ErrorKind::QuotaExceeded`] when the process's stacks take as much address space, or as
/// many mappings, as they may; otherwise what the system said. `body` is dropped.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     match sched::try_spawn(|| "served") {
///         Ok(fiber) => assert_eq!(fiber.join().unwrap(), "served"),
///         Err(error) => eprintln!("refused: {error}"),
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn try_spawn<T: 'static>(body: impl FnOnce() -> T + 'static) -> io::Result<JoinHandle<T>> {
    let spawned_at = Location::caller();
    local::with(|shard| {
        shard.current(); // panics outside of a fiber
        shard.spawn(body, spawned_at)
    })
}

/// Runs `episode` as a fiber that holds a stack only while it runs.
///
/// Each wake-up of the fiber calls `episode` once, on a pooled stack, where it may block like any
/// other fiber. `Continue` rests until somebody wakes the fiber: arrange for that before, with
/// [`Source::arm`](super::Source::arm), [`Fiber::unpark`](super::Fiber::unpark) or
/// [`wake_later`](super::wake_later). `Break` ends it. What must last from one episode to the next
/// belongs into the closure. The first episode runs without a wake-up.
///
/// This is for the many that wait long and own little: an idle connection so costs its descriptor
/// and a few hundred bytes. If no stack is free when the fiber is woken, it is tried again every
/// turn until there is one.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use std::ops::ControlFlow;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let mut calls = 0;
///     let fiber = sched::spawn_episodes(move || {
///         calls += 1;
///         sched::wake_later();
///         if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     });
///     fiber.join().unwrap();
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn spawn_episodes(mut episode: impl FnMut() -> ControlFlow<()> + 'static) -> JoinHandle<()> {
    let spawned_at = Location::caller();
    let packet: Rc<Packet<()>> = Rc::default();
    let result = Rc::clone(&packet);
    let episodes = move || {
        let outcome = match catch_unwind(AssertUnwindSafe(&mut episode)) {
            Ok(ControlFlow::Continue(())) => return ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => Ok(()),
            Err(payload) => Err(payload),
        };
        result.replace(Some(outcome));
        ControlFlow::Break(())
    };
    local::with(|shard| {
        shard.current(); // panics outside of a fiber
        JoinHandle::new(packet, shard.enroll(Body::Resting(Box::new(episodes)), spawned_at))
    })
}

impl Shard {
    pub(super) fn spawn<T: 'static>(
        &self,
        body: impl FnOnce() -> T + 'static,
        spawned_at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        let stack = self.take_stack()?;
        let bounds = stack.bounds();
        let packet: Rc<Packet<T>> = Rc::default();
        let result = Rc::clone(&packet);
        let body = Body::Stackful(on_stack(stack, move |fiber| {
            if fiber.cancelled.get() {
                return None;
            }
            let outcome = catch_unwind(AssertUnwindSafe(body));
            result.replace(Some(outcome));
            None
        }));
        let fiber = self.enroll(body, spawned_at);
        fiber.stack.set(bounds);
        Ok(JoinHandle::new(packet, fiber))
    }

    /// Enters a fiber into the table and the run queue.
    fn enroll(&self, body: Body, spawned_at: &'static Location<'static>) -> Rc<FiberCell> {
        let mut fibers = self.fibers.borrow_mut();
        let now = self.now.get();
        let key = fibers.insert_with_key(|key| Rc::new(FiberCell::new(key, now, spawned_at)));
        let fiber = Rc::clone(&fibers[key]);
        drop(fibers);
        fiber.body.replace(body);
        self.wake(Rc::clone(&fiber));
        fiber
    }
}

/// One episode of a resting fiber, ready to be resumed.
pub(super) fn episode_on(stack: FiberStack, mut episode: Episodes) -> FiberCoroutine {
    on_stack(stack, move |fiber| {
        if fiber.cancelled.get() {
            return None;
        }
        match episode() {
            ControlFlow::Continue(()) if !fiber.cancelled.get() => Some(episode),
            _ => None,
        }
    })
}

/// A coroutine that notes its way back to the scheduler, then runs `body`.
///
/// Nothing unwinds out of it: not a panic of an episode, and not one of a destructor that runs
/// after the body (of a result that nobody joins, of a closure that never began).
fn on_stack(
    stack: FiberStack,
    body: impl FnOnce(&FiberCell) -> Option<Episodes> + 'static,
) -> FiberCoroutine {
    FiberCoroutine::with_stack(stack, move |yielder, ()| {
        let fiber = local::with(Shard::current);
        fiber.switch.enter(yielder);
        catch_unwind(AssertUnwindSafe(|| body(&fiber))).unwrap_or(None)
    })
}
