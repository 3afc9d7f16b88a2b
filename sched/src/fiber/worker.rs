//! A worker: a coroutine that runs activations, one after the other, on the same stack.
//!
//! To make and to end a coroutine for each activation would cost more than most activations do.
//! An idle worker is suspended in its own loop. Its stack holds the frame of that loop, and nothing
//! of a fiber. It ends only by [`Worker::end`], and so it is never dropped while it is suspended.

use corosensei::CoroutineResult;

use super::stack::{FiberStack, StackBounds};
use super::switch::{Activations, FiberCoroutine, Resume, Suspend, Yielder};

/// A worker, idle or in the middle of an activation.
pub(crate) struct Worker {
    coroutine: FiberCoroutine,
    bounds: StackBounds,
}

impl Worker {
    /// A worker that runs each activation with `run`, which returns what is left to be run later.
    /// Nothing unwinds out of `run`.
    pub(crate) fn new(
        stack: FiberStack,
        run: impl Fn(&Yielder, Activations) -> Option<Activations> + 'static,
    ) -> Self {
        let bounds = stack.bounds();
        let coroutine = FiberCoroutine::with_stack(stack, move |yielder, mut order| {
            while let Resume::Work(activation) = order {
                order = yielder.suspend(Suspend::Rested(run(yielder, activation)));
            }
        });
        Self { coroutine, bounds }
    }

    #[inline]
    pub(crate) fn bounds(&self) -> StackBounds {
        self.bounds
    }

    /// The coroutine. An idle worker is resumed with [`Resume::Work`]; when it has suspended itself
    /// with [`Suspend::Rested`], it is idle again.
    #[inline]
    pub(crate) fn coroutine(&mut self) -> &mut FiberCoroutine {
        &mut self.coroutine
    }

    /// Ends it while it is idle, and returns its stack.
    pub(crate) fn end(mut self) -> FiberStack {
        let ended = self.coroutine.resume(Resume::End);
        debug_assert!(matches!(ended, CoroutineResult::Return(())), "it only leaves its loop");
        self.coroutine.into_stack()
    }
}
