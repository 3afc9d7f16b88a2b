//! What the scheduler resumes: the coroutine of a fiber, or the closure that it runs in
//! activations.

use std::ops::ControlFlow;

use corosensei::Coroutine;

use super::stack::FiberStack;
use super::switch::{Resume, Suspend};

/// The closure that an episodic fiber runs at each wake-up.
pub(crate) type Activations = Box<dyn FnMut() -> ControlFlow<()>>;

/// A plain fiber returns `None`; an episodic fiber returns its closure, unless it is over.
pub(crate) type FiberCoroutine = Coroutine<Resume, Suspend, Option<Activations>, FiberStack>;

/// What the scheduler resumes.
pub(crate) enum Body {
    /// In the middle of its work, or about to begin it.
    Stackful(FiberCoroutine),
    /// Between two activations; `None` if it never runs again.
    Idle(Option<Activations>),
}

impl Body {
    pub(crate) const OVER: Self = Self::Idle(None);

    pub(crate) fn is_resting(&self) -> bool {
        matches!(self, Self::Idle(Some(_)))
    }
}
