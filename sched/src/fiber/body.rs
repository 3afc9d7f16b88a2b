//! What the scheduler resumes: the coroutine of a fiber, or the closure that it runs in
//! activations.

use super::switch::{Activations, FiberCoroutine};
use super::worker::Worker;

/// What the scheduler resumes.
pub(crate) enum Body {
    /// In the middle of its work, or about to begin it.
    Stackful(FiberCoroutine),
    /// Without a stack of its own. An enum in the enum, which needs no room for a tag.
    Stackless(Stackless),
}

/// A body that has a stack only in its activations.
pub(crate) enum Stackless {
    /// In the middle of an activation. The worker is boxed, because it moves at each activation.
    Working(Box<Worker>),
    /// Between two activations; `None` if it never runs again.
    Idle(Option<Activations>),
}

impl Body {
    pub(crate) const OVER: Self = Self::idle(None);

    #[inline]
    pub(crate) const fn idle(rest: Option<Activations>) -> Self {
        Self::Stackless(Stackless::Idle(rest))
    }

    #[inline]
    pub(crate) fn is_resting(&self) -> bool {
        matches!(self, Self::Stackless(Stackless::Idle(Some(_))))
    }

    /// What it runs on, unless it rests or is over.
    #[inline]
    pub(crate) fn coroutine(&mut self) -> Option<&mut FiberCoroutine> {
        match self {
            Self::Stackful(coroutine) => Some(coroutine),
            Self::Stackless(Stackless::Working(worker)) => Some(worker.coroutine()),
            Self::Stackless(Stackless::Idle(_)) => None,
        }
    }
}
