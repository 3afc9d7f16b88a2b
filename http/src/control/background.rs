//! The background fibers of a shard: those that handlers leave behind, and that a drain waits for.
//!
//! A background fiber is an ordinary fiber of the shard. It leaves the table when it ends, however
//! it ends; a fiber that was abandoned never does, so [`Background::lose`] removes it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use slotmap::{DefaultKey, SlotMap};
use straightline_sched::{Fiber, FiberBuilder, JoinHandle, is_cancel};

use super::slot::Slot;
use crate::telemetry::{Event, Observers, message_of, take_place};

/// The background fibers of a shard.
pub(crate) struct Background {
    slot: Arc<Slot>,
    observers: Observers,
    /// `None` until the fiber is spawned.
    open: RefCell<SlotMap<DefaultKey, Option<Fiber>>>,
    /// They were cancelled, and no other may begin.
    is_closed: Cell<bool>,
    /// Woken when the last fiber has ended.
    waiter: RefCell<Option<Fiber>>,
}

impl Background {
    /// For the shard of that slot, on the shard's own thread.
    pub(crate) fn new(slot: &Arc<Slot>, observers: &Observers) -> Rc<Self> {
        let (slot, observers) = (Arc::clone(slot), observers.clone());
        Rc::new(Self {
            slot,
            observers,
            open: RefCell::default(),
            is_closed: Cell::new(false),
            waiter: RefCell::default(),
        })
    }

    /// Runs `body` as a background fiber.
    #[track_caller]
    pub(crate) fn spawn<T: 'static>(
        self: &Rc<Self>,
        body: impl FnOnce() -> T + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if self.is_closed.get() {
            return Err(io::Error::other("the server has ended: no background fiber may begin"));
        }
        let key = self.open.borrow_mut().insert(None);
        let entry = Entry { background: Rc::clone(self), key };
        // If this fails, the entry is dropped with the body.
        let handle = FiberBuilder::new().name("background").spawn(move || {
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(value) => value,
                Err(payload) => {
                    if !is_cancel(&*payload) {
                        entry.background.record_panic(&*payload);
                    }
                    resume_unwind(payload)
                }
            }
        })?;
        self.slot.counters.background_spawned.bump();
        // The fiber begins when the caller yields, so it is still in the table.
        if let Some(fiber) = self.open.borrow_mut().get_mut(key) {
            *fiber = Some(handle.fiber());
        }
        Ok(handle)
    }

    fn record_panic(&self, payload: &(dyn Any + Send)) {
        self.slot.counters.background_panicked.bump();
        let (message, place) = (message_of(payload), take_place());
        let place = place.as_deref();
        self.observers.emit(&Event::BackgroundPanicked { message, place });
    }

    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Wakes `waiter` when the last fiber has ended.
    pub(crate) fn wake_when_empty(&self, waiter: Fiber) {
        let before = self.waiter.replace(Some(waiter));
        drop(before);
    }

    /// Cancels all of them.
    pub(crate) fn cancel_all(&self) {
        self.is_closed.set(true);
        self.open.borrow().values().flatten().for_each(Fiber::cancel);
    }

    /// The fiber of that number was abandoned: it does not end any more.
    pub(crate) fn lose(&self, number: u64) {
        let is_lost =
            |fiber: &Option<Fiber>| fiber.as_ref().is_some_and(|fiber| fiber.number() == number);
        let key = self.open.borrow().iter().find(|(_, fiber)| is_lost(fiber)).map(|(key, _)| key);
        key.into_iter().for_each(|key| self.remove(key));
    }

    fn remove(&self, key: DefaultKey) {
        let removed = self.open.borrow_mut().remove(key);
        if let Some(Some(_)) = removed {
            self.slot.counters.background_ended.bump();
        }
        if self.is_empty()
            && let Some(waiter) = &*self.waiter.borrow()
        {
            waiter.unpark();
        }
    }
}

/// A fiber's place in the table, until this is dropped.
struct Entry {
    background: Rc<Background>,
    key: DefaultKey,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.background.remove(self.key);
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("fibers", &self.len()).finish_non_exhaustive()
    }
}
