//! Spans of the crate `tracing` that follow their fiber.
//!
//! `tracing` keeps the entered spans of a thread in a stack, which belongs to its subscriber. The
//! fibers of a shard share a thread, so a span that one fiber has entered would be the current span
//! of the others while the first one waits. [`FiberLayer`] prevents that: at each switch away it
//! exits the spans that the fiber has entered, and at each switch back it enters them again.
//!
//! It needs nothing of the subscriber but `enter` and `exit`, which every subscriber has. So
//! `fmt`, OpenTelemetry and other layers see what they would see if each fiber were a thread:
//!
//! ```
//! use straightline_sched as sched;
//! use tracing_subscriber::prelude::*;
//!
//! tracing_subscriber::registry()
//!     .with(sched::tracing::FiberLayer::new())
//!     .with(tracing_subscriber::fmt::layer().with_writer(sched::stderr))
//!     .init();
//!
//! #[tracing::instrument]
//! fn handle(request: u32) {
//!     sched::yield_now(); // other requests run, under spans of their own
//!     tracing::info!("done"); // handle{request=1}: done
//! }
//!
//! sched::run(|| {
//!     sched::scope(|s| {
//!         for request in 1..=3 {
//!             s.spawn(move || handle(request));
//!         }
//!     });
//! });
//! ```
//!
//! - A layer that writes on the running thread should write to [`stderr`](crate::stderr), as above:
//!   no fiber waits for that. A layer must not wait on the fiber.
//! - A fiber does not inherit the spans of the fiber that spawns it, as a thread does not. Pass
//!   them on: `let span = Span::current(); spawn(move || span.in_scope(work))`. Spans that the
//!   thread has entered outside of [`run`](crate::run) are parents of all fibers of that thread.
//! - With span events (`FmtSpan::ENTER`, `FmtSpan::EXIT`) each switch is an exit and an enter, as
//!   it is for a future that is polled. So the busy time of a span is the time in which its fiber
//!   had the thread.
//! - A span's guard is dropped on the fiber that entered the span.
//! - `tracing::subscriber::with_default` is set for the *thread*: use it around
//!   [`run`](crate::run), and [`with_default`] on a fiber.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::OnceLock;

use tracing_core::dispatcher::{DefaultGuard, WeakDispatch, set_default};
use tracing_core::span::Id;
use tracing_core::{Dispatch, Subscriber, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::core::current_id;
use crate::{OnSwitch, SwitchHook, fiber_local, on_switch};

/// The layer that makes spans follow their fibers. Add it to the subscriber once, without a filter;
/// the [module](self) has an example. Its place among the layers does not matter.
///
/// A switch of a fiber that has entered no span costs nothing. On threads without fibers the layer
/// does nothing.
pub struct FiberLayer {
    /// The subscriber that the layer is a part of.
    dispatch: OnceLock<WeakDispatch>,
}

impl FiberLayer {
    /// A layer for one subscriber. Not a yield point.
    pub fn new() -> Self {
        Self { dispatch: OnceLock::new() }
    }

    /// The whole subscriber; the thread's default if it was made in a way that does not tell.
    fn dispatch(&self) -> Option<Dispatch> {
        match self.dispatch.get() {
            Some(dispatch) => dispatch.upgrade(),
            None => Some(dispatcher::get_default(Clone::clone)),
        }
    }
}

impl<S: Subscriber> Layer<S> for FiberLayer {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // The layer is a part of one subscriber, so a second call has the same one.
        let _ = self.dispatch.set(subscriber.downgrade());
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        // A switch hook enters and exits spans too, but not on a fiber.
        if current_id().is_some()
            && let Some(dispatch) = self.dispatch()
        {
            ENTERED.with(|entered| entered.stack.push(Entered::new(dispatch, id)));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if current_id().is_some() {
            let exited = ENTERED.with_existing(|entered| entered.stack.remove(id));
            drop(exited); // this may close the span, which calls the layers
        }
    }
}

impl Default for FiberLayer {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `body` with `dispatch` as the default subscriber of the calling fiber, and not of the
/// others: `tracing::dispatcher::with_default` would set it for the whole thread while `body`
/// waits. Outside of fibers it does the same as that function.
///
/// Fibers that `body` spawns do not inherit it.
///
/// Not a yield point itself.
///
/// # Panics
///
/// When `body` does.
///
/// ```
/// use straightline_sched as sched;
/// use tracing::Dispatch;
/// use tracing::dispatcher::get_default;
/// use tracing_subscriber::Registry;
///
/// let is_set = || get_default(|dispatch| dispatch.is::<Registry>());
/// sched::run(move || {
///     let fiber = sched::spawn(move || {
///         sched::tracing::with_default(&Dispatch::new(Registry::default()), || {
///             sched::yield_now();
///             is_set()
///         })
///     });
///     sched::yield_now();
///     assert!(!is_set()); // the other fiber waits
///     assert!(fiber.join().unwrap());
/// });
/// ```
pub fn with_default<T>(dispatch: &Dispatch, body: impl FnOnce() -> T) -> T {
    if current_id().is_none() {
        return dispatcher::with_default(dispatch, body);
    }
    let default = Rc::new(DefaultOfFiber {
        dispatch: dispatch.clone(),
        guard: Cell::new(Some(set_default(dispatch))),
    });
    let _guard = on_switch(default);
    body()
}

fiber_local! {
    static ENTERED: Spans = Spans::new();
}

/// The spans that a fiber has entered, and the hook that moves them. When the fiber-locals are
/// dropped, spans whose guards were forgotten are exited.
struct Spans {
    stack: Rc<SpanStack>,
    _hook: OnSwitch,
}

impl Spans {
    fn new() -> Self {
        let stack = Rc::new(SpanStack::default());
        let hook = Rc::clone(&stack);
        Self { stack, _hook: on_switch(hook) }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        // Each is exited behind the borrow: that calls the layers.
        while let Some(entered) = self.stack.pop() {
            entered.exit();
        }
    }
}

/// The innermost span last.
#[derive(Default)]
struct SpanStack(RefCell<Vec<Entered>>);

impl SpanStack {
    fn push(&self, entered: Entered) {
        self.0.borrow_mut().push(entered);
    }

    fn pop(&self) -> Option<Entered> {
        self.0.borrow_mut().pop()
    }

    /// Removes the innermost entry of a span: guards may be dropped in any order.
    fn remove(&self, id: &Id) -> Option<Entered> {
        let mut stack = self.0.borrow_mut();
        let last = stack.iter().rposition(|entered| entered.id == *id)?;
        Some(stack.remove(last))
    }
}

impl SwitchHook for SpanStack {
    // The fiber is suspended, so the list does not change while the layers are called.
    fn on_suspend(&self) {
        self.0.borrow().iter().rev().for_each(Entered::exit);
    }

    fn on_resume(&self) {
        self.0.borrow().iter().for_each(Entered::enter);
    }
}

/// A span that a fiber has entered. It holds the span open: the span could be closed otherwise
/// while its fiber waits, if its guard was forgotten, and another one have its number.
struct Entered {
    dispatch: Dispatch,
    id: Id,
}

impl Entered {
    fn new(dispatch: Dispatch, id: &Id) -> Self {
        let id = dispatch.clone_span(id);
        Self { dispatch, id }
    }

    fn enter(&self) {
        self.dispatch.enter(&self.id);
    }

    fn exit(&self) {
        self.dispatch.exit(&self.id);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.dispatch.try_close(self.id.clone());
    }
}

/// The default subscriber of one fiber. Between a suspend and a resume the thread has its own.
struct DefaultOfFiber {
    dispatch: Dispatch,
    guard: Cell<Option<DefaultGuard>>,
}

impl SwitchHook for DefaultOfFiber {
    fn on_suspend(&self) {
        drop(self.guard.take());
    }

    fn on_resume(&self) {
        self.guard.set(Some(set_default(&self.dispatch)));
    }
}

impl fmt::Debug for FiberLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiberLayer").finish_non_exhaustive()
    }
}
