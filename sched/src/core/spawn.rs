//! Spawning fibers.
//!
//! A fiber never leaves the thread that spawned it. So `spawn` needs neither `Send` nor `Arc`: only
//! one thread touches the values that a fiber holds, `Rc` and `Cell` included.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

use super::before_park::{drop_hooks, run_last_hooks};
use super::children::is_in_uncancellable_scope;
use super::contain::{contain, discard};
use super::fiber_local::{drop_locals, inherited};
use super::join::{JoinHandle, Packet};
use super::local;
use super::mailbox::Sent;
use super::shard::Shard;
use crate::fiber::stack::FiberStack;
use crate::fiber::{
    Activations, Body, FiberCell, FiberCoroutine, Locals, Resume, ScopeState, SpawnInfo, Worker,
    Yielder,
};

/// Runs `body` as a new fiber of this thread, beginning when the caller next yields.
///
/// The fiber may outlive its caller, and inherits no deadline; use [`scope`](crate::scope) for work
/// that is a part of the caller's work.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber, and when there is no stack; [`FiberBuilder::spawn`] returns that as an
/// error.
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
/// });
/// ```
#[track_caller]
pub fn spawn<T: 'static>(body: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    match FiberBuilder::new().spawn(body) {
        Ok(handle) => handle,
        Err(error) => panic!("straightline: cannot spawn a fiber: {error}"),
    }
}

/// How to spawn a fiber, where [`spawn`] is not enough; as [`std::thread::Builder`].
///
/// ```
/// use straightline_sched::{self as sched, FiberBuilder};
///
/// sched::run(|| {
///     let deep = FiberBuilder::new().name("parser").stack_bytes(1024 * 1024);
///     match deep.spawn(|| "parsed") {
///         Ok(fiber) => assert_eq!(fiber.join().unwrap(), "parsed"),
///         Err(error) => eprintln!("refused: {error}"),
///     }
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct FiberBuilder {
    name: Option<Rc<str>>,
    stack_bytes: Option<usize>,
}

impl FiberBuilder {
    /// A fiber with the shard's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the fiber in lists and reports.
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack in bytes, rounded up to the next power of two; at least 32 KiB. The
    /// shard's [`Config::stack_bytes`](crate::Config::stack_bytes) otherwise.
    pub fn stack_bytes(mut self, stack_bytes: usize) -> Self {
        self.stack_bytes = Some(stack_bytes);
        self
    }

    /// Runs `body` as a new fiber of this thread, beginning when the caller next yields.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::QuotaExceeded`] when the process has as many stacks as its memory map
    /// allows; otherwise the system's error. `body` is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    #[track_caller]
    pub fn spawn<T: 'static>(
        self,
        body: impl FnOnce() -> T + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let (spawned_at, parent) = (Location::caller(), local::with(Shard::current));
        // The same, but if this fails the body is dropped, which is the user's code.
        let ready = local::with(|shard| prepare(shard, self.stack_bytes, Some(&parent)))?;
        let (name, parent) = (self.name, Some(&*parent));
        Ok(local::with(|shard| {
            // SAFETY: the body borrows nothing that ends.
            unsafe { spawn_unchecked(shard, ready, name, spawned_at, parent, None, body) }
        }))
    }
}

/// Runs `activation` as a fiber that holds a stack only while it runs.
///
/// Each wake-up of the fiber calls `activation` once, on a pooled stack, where it may wait like any
/// other fiber. After `Continue` the fiber rests until it is woken: arrange for that before, with
/// [`Source::arm`](super::Source::arm), [`Fiber::unpark`](super::Fiber::unpark) or
/// [`wake_later`](super::wake_later). `Break` ends it. State that must last from one activation to
/// the next belongs into the closure. The first activation runs without a wake-up.
///
/// This is for many fibers that wait long and own little: an idle connection costs its descriptor
/// and a few hundred bytes. If no stack is free when the fiber is woken, it tries again every turn
/// until there is one.
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
///     let fiber = sched::spawn_stackless(move || {
///         calls += 1;
///         sched::wake_later();
///         if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     });
///     fiber.join().unwrap();
/// });
/// ```
#[track_caller]
pub fn spawn_stackless(
    mut activation: impl FnMut() -> ControlFlow<()> + 'static,
) -> JoinHandle<()> {
    let packet = Rc::new(Packet::new(None));
    let result = Rc::clone(&packet);
    let activations = move || {
        let outcome = match catch_unwind(AssertUnwindSafe(&mut activation)) {
            Ok(ControlFlow::Continue(())) => return ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => Ok(()),
            Err(payload) => Err(payload),
        };
        result.fill(outcome);
        ControlFlow::Break(())
    };
    let spawned_at = Location::caller();
    local::with(|shard| {
        let parent = shard.current(); // panics outside of a fiber
        let spawn_info = SpawnInfo { spawned_at, spawned_in: shard.clock.turn() };
        let locals = inherited(&parent);
        let body = Body::idle(Some(Box::new(activations)));
        let fiber = insert(shard, spawn_info, Some(&parent), None, locals, body);
        shard.record_spawn(&fiber);
        JoinHandle::new(shard, packet, fiber)
    })
}

/// Spawns a fiber of a scope. It holds no reference to the shard where the body may be dropped,
/// which is the user's code: see `deadline`.
pub(super) fn spawn_child<'scope, T: 'scope>(
    builder: FiberBuilder,
    spawned_at: &'static Location<'static>,
    scope_state: &Rc<ScopeState>,
    body: impl FnOnce() -> T + 'scope,
) -> io::Result<JoinHandle<T>> {
    let parent = local::with(Shard::current);
    if parent.unwinds() || scope_state.is_cancelled() {
        // Dropped here: a caller that unwinds should not wait for a fiber to do it.
        discard(body);
        return Ok(JoinHandle::never_begun(spawned_at));
    }
    let ready = local::with(|shard| prepare(shard, builder.stack_bytes, Some(&parent)))?;
    let (name, parent) = (builder.name, Some(&*parent));
    Ok(local::with(|shard| {
        // SAFETY: the scope_state's scope does not end before this child is over, and the data that
        // the body borrows outlives the scope; see the module `scope`.
        unsafe { spawn_unchecked(shard, ready, name, spawned_at, parent, Some(scope_state), body) }
    }))
}

/// The things that a new fiber needs, and may be refused. The stack has no owner yet: until the
/// fiber begins, no code of the user runs, and nothing panics, so the stack is not lost.
struct Ready {
    locals: Locals,
    stack: FiberStack,
}

pub(crate) fn spawn_on<T: 'static>(
    shard: &Shard,
    builder: FiberBuilder,
    spawned_at: &'static Location<'static>,
    parent: Option<&FiberCell>,
    body: impl FnOnce() -> T + 'static,
) -> io::Result<JoinHandle<T>> {
    let ready = prepare(shard, builder.stack_bytes, parent)?;
    // SAFETY: the body borrows nothing that ends.
    Ok(unsafe { spawn_unchecked(shard, ready, builder.name, spawned_at, parent, None, body) })
}

/// Spawns a fiber that another thread sent.
pub(super) fn spawn_sent(shard: &Shard, sent: Sent) -> io::Result<JoinHandle<()>> {
    shard.inbox.mailbox().sent_begins();
    spawn_on(shard, FiberBuilder::new(), sent.spawned_at, None, sent.body)
}

/// Gets what a new fiber needs.
fn prepare(
    shard: &Shard,
    stack_bytes: Option<usize>,
    parent: Option<&FiberCell>,
) -> io::Result<Ready> {
    // This comes first: a `clone` that panics leaves nothing behind.
    let locals = parent.map(inherited).unwrap_or_default();
    Ok(Ready { locals, stack: shard.stacks.take(stack_bytes)? })
}

/// Spawns a fiber whose body may borrow.
///
/// # Safety
///
/// The data that `body` and its result borrow must stay valid until the fiber is over.
unsafe fn spawn_unchecked<T, F: FnOnce() -> T>(
    shard: &Shard,
    ready: Ready,
    name: Option<Rc<str>>,
    spawned_at: &'static Location<'static>,
    parent: Option<&FiberCell>,
    scope_state: Option<&Rc<ScopeState>>,
    body: F,
) -> JoinHandle<T> {
    // `main` below is the body and one word.
    if const { size_of::<(F, usize)>() > CLOSURE_BYTES_MAX } {
        let body: Box<dyn FnOnce() -> T + '_> = Box::new(body);
        // SAFETY: as promised by the caller: the box borrows the same data as `body`.
        return unsafe {
            spawn_unchecked(shard, ready, name, spawned_at, parent, scope_state, body)
        };
    }
    let Ready { locals, stack } = ready;
    let bounds = stack.bounds();
    let packet = Rc::new(Packet::new(scope_state.cloned()));
    let result = Rc::clone(&packet);
    let main = move |fiber: &FiberCell| {
        if !fiber.bounds.is_cancelled() {
            let outcome = catch_unwind(AssertUnwindSafe(body));
            run_last_hooks(fiber);
            result.fill(outcome);
        }
    };
    // SAFETY: as promised by the caller: the coroutine runs, or drops its closure, before its
    // fiber is over, and never after.
    let coroutine = unsafe { on_stack(stack, main) };
    let spawn_info = SpawnInfo { spawned_at, spawned_in: shard.clock.turn() };
    let fiber = insert(shard, spawn_info, parent, scope_state, locals, Body::Stackful(coroutine));
    fiber.switch.set_stack(bounds);
    if let Some(name) = name {
        fiber.set_name(name);
    }
    shard.record_spawn(&fiber);
    JoinHandle::new(shard, packet, fiber)
}

/// Enters a fiber into the table and the run queue. No code of the user runs in between.
fn insert(
    shard: &Shard,
    spawn_info: SpawnInfo,
    parent: Option<&FiberCell>,
    scope_state: Option<&Rc<ScopeState>>,
    locals: Locals,
    body: Body,
) -> Rc<FiberCell> {
    let fiber = shard.fibers.insert(spawn_info, shard.clock.turn());
    shard.counters.spawned.add(1);
    fiber.body.replace(body);
    if !locals.is_empty() {
        fiber.cold_mut().locals.replace(locals);
    }
    fiber.scope_state.set(scope_state.cloned());
    // In a shard that ends, no fiber begins any more, except those that a commit under way needs.
    if shard.inbox.is_ending() && !is_in_uncancellable_scope(&fiber) {
        fiber.bounds.cancel();
    }
    if let Some(scope_state) = scope_state {
        if let Some(parent) = parent {
            fiber.bounds.inherit(&parent.bounds);
        }
        scope_state.add_child(Rc::clone(&fiber));
        // A `clone` that waited may have let another fiber cancel the scope.
        if scope_state.is_cancelled() {
            fiber.bounds.cancel();
        }
    }
    shard.wake(Rc::clone(&fiber));
    fiber
}

/// A worker for activations.
pub(super) fn new_worker(stack: FiberStack) -> Worker {
    Worker::new(stack, run_activation)
}

/// Runs one activation of the running fiber; returns the rest of it, unless it is over.
///
/// Nothing unwinds out of it, as with [`on_stack`].
fn run_activation(yielder: &Yielder, mut activation: Activations) -> Option<Activations> {
    let fiber = local::with(Shard::current);
    fiber.switch.enter(yielder);
    let mut rest = None;
    contain(|| {
        if !fiber.bounds.is_cancelled()
            && activation().is_continue()
            && !fiber.bounds.is_cancelled()
        {
            rest = Some(activation);
        }
    });
    if rest.is_none() {
        drop_cold(&fiber);
    }
    rest
}

/// A coroutine that records its way back to the scheduler, then runs `body`.
///
/// Nothing unwinds out of it: neither a panic of an activation, nor one of a destructor that runs
/// after the body (of a result without a joiner, of a closure that never began).
///
/// # Safety
///
/// The data that `body` borrows must stay valid until the coroutine has ended, or for as long as it
/// might be resumed.
unsafe fn on_stack(stack: FiberStack, body: impl FnOnce(&FiberCell)) -> FiberCoroutine {
    let main = move |yielder: &Yielder, _: Resume| {
        let fiber = local::with(Shard::current);
        fiber.switch.enter(yielder);
        contain(|| body(&fiber));
        drop_cold(&fiber);
    };
    // SAFETY: as promised by the caller.
    unsafe { FiberCoroutine::with_stack_unchecked(stack, main) }
}

/// Drops what only few fibers have, at the end of a fiber and on its own stack.
fn drop_cold(fiber: &FiberCell) {
    if fiber.cold().is_some() {
        drop_locals(fiber);
        drop_hooks(fiber);
    }
}

/// The largest closure that corosensei puts onto a stack for its first call. A larger one is boxed;
/// a smaller one costs no allocation.
const CLOSURE_BYTES_MAX: usize = 1024;
