//! The run queue: which fiber runs next.
//!
//! A fiber stands here at most once: [`FiberCell::queued`] is set from the moment at which the
//! fiber is queued until it is about to run, so a second wake-up before that changes nothing. (In a
//! simulation a fiber that was [drained](RunQueue::drain) counts as queued until its turn comes.)

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::fiber::FiberCell;

#[derive(Default)]
pub(crate) struct RunQueue {
    ready: RefCell<VecDeque<Rc<FiberCell>>>,
}

impl RunQueue {
    /// Puts a fiber at the end, unless it is queued.
    #[inline]
    pub(super) fn push(&self, fiber: Rc<FiberCell>) {
        if !fiber.queued.replace(true) {
            self.ready.borrow_mut().push_back(fiber);
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Rc<FiberCell>> {
        let fiber = self.ready.borrow_mut().pop_front()?;
        fiber.queued.set(false);
        Some(fiber)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Removes all of them, for a round in another order.
    pub(crate) fn drain(&self) -> Vec<Rc<FiberCell>> {
        self.ready.borrow_mut().drain(..).collect()
    }

    /// The fibers that were queued since the queue had that length.
    pub(crate) fn since(&self, count: usize) -> Vec<Rc<FiberCell>> {
        self.ready.borrow().iter().skip(count).cloned().collect()
    }

    /// Whether all queued fibers are over, because their wake-ups came late.
    pub(super) fn is_stale(&self) -> bool {
        self.ready.borrow().iter().all(|fiber| fiber.life.is_over())
    }
}
