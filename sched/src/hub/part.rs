//! A hub's part on one shard: the messages, and the subscribers that wait.
//!
//! Nothing here is locked except for the moment in which new messages are copied. The part exists
//! as long as the shard has a subscriber of the hub.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use slotmap::{DefaultKey, SlotMap};

use super::message::{Message, TryRecvError};
use super::ring::{Found, Ring};
use super::shared::{Mail, Shared};
use crate::core::{Home, yield_now};
use crate::sync::waiter::{Waiter, Wakes};
use crate::sync::watch::{Watcher, Watchers};

/// A hub's part on one shard.
pub(super) struct Part<T> {
    pub(super) shared: Arc<Shared<T>>,
    mail: Arc<Mail>,
    /// The newest messages that the shard has seen.
    ring: RefCell<Ring<T>>,
    /// What is to be woken for each subscriber.
    waiting: RefCell<SlotMap<DefaultKey, Watchers>>,
    delivery: Cell<Delivery>,
}

/// Whether subscribers are being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    No,
    /// A fiber wakes them.
    Begun,
    /// The same, and there are new messages, so it begins again behind the last one.
    Again,
}

thread_local! {
    /// The parts of this thread's shards: one, or all of a simulation.
    static PARTS: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// A part in the list of its thread.
struct Place {
    shard: u64,
    hub: u64,
    part: Weak<dyn AnyPart>,
}

/// A part whose messages are of any type.
trait AnyPart {
    /// A yield point.
    fn deliver(&self);
    fn into_any(self: Rc<Self>) -> Rc<dyn Any>;
}

/// Lets the subscribers of a hub on the calling shard look. A yield point.
pub(super) fn deliver(hub: u64) {
    let part = Home::here().and_then(|home| find(home.shard_id(), hub));
    part.into_iter().for_each(|part| part.deliver());
}

fn find(shard: u64, hub: u64) -> Option<Rc<dyn AnyPart>> {
    PARTS.with_borrow(|parts| {
        let mut of_hub = parts.iter().filter(|place| place.shard == shard && place.hub == hub);
        of_hub.next()?.part.upgrade()
    })
}

impl<T: Send + Sync + 'static> Part<T> {
    /// The part of the calling shard; `None` outside of shards.
    pub(super) fn here(shared: &Arc<Shared<T>>) -> Option<Rc<Self>> {
        let home = Home::here()?;
        let found = find(home.shard_id(), shared.id);
        if let Some(part) = found.and_then(|part| part.into_any().downcast().ok()) {
            return Some(part);
        }
        let part = Rc::new(Self {
            shared: Arc::clone(shared),
            mail: shared.join(home),
            ring: RefCell::new(Ring::new(1, shared.bounds)),
            waiting: RefCell::default(),
            delivery: Cell::new(Delivery::No),
        });
        let weak = Rc::downgrade(&part);
        let place = Place { shard: part.mail.shard_id(), hub: shared.id, part: weak };
        PARTS.with_borrow_mut(|parts| parts.push(place));
        Some(part)
    }

    pub(super) fn enter(&self) -> DefaultKey {
        self.shared.add_subscriber();
        self.waiting.borrow_mut().insert(Watchers::new())
    }

    pub(super) fn leave(&self, subscriber: DefaultKey) {
        let left = self.waiting.borrow_mut().remove(subscriber);
        drop(left);
        self.shared.remove_subscriber();
    }

    /// The message with the number `id`, or the number from which on the messages are there.
    pub(super) fn take(&self, id: u64) -> Result<Message<T>, (TryRecvError, u64)> {
        // This comes first: a message that was published before the hub was closed is found.
        let is_closed = self.shared.is_closed();
        self.look();
        match self.ring.borrow().at(id) {
            Found::Message(value) => Ok(Message { id, value: Arc::clone(value) }),
            Found::Nothing if is_closed => Err((TryRecvError::Closed, id)),
            Found::Nothing => Err((TryRecvError::Empty, id)),
            Found::Gone(first) => Err((TryRecvError::Lagged(first - id), first)),
        }
    }

    /// Returns true if there is an answer for the number `id`. Otherwise has the watcher woken when
    /// there may be.
    pub(super) fn watch(&self, subscriber: DefaultKey, id: u64, watcher: &Watcher) -> bool {
        let is_ready = self.take(id).err().map(|(error, _)| error) != Some(TryRecvError::Empty);
        if !is_ready && let Some(watchers) = self.waiting.borrow_mut().get_mut(subscriber) {
            watchers.add(watcher);
        }
        is_ready
    }

    pub(super) fn unwatch(&self, subscriber: DefaultKey, watcher: &Watcher) {
        if let Some(watchers) = self.waiting.borrow_mut().get_mut(subscriber) {
            watchers.remove(watcher);
        }
    }

    /// The fibers of the subscribers that wait.
    fn take_waiting(&self) -> Vec<Waiter> {
        let mut wakes = Wakes::default();
        let mut waiting = self.waiting.borrow_mut();
        waiting.values_mut().for_each(|watchers| watchers.wake_all(&mut wakes));
        wakes.into_waiters()
    }

    /// Copies what is new.
    #[inline]
    fn look(&self) {
        if self.shared.next() != self.ring.borrow().next() {
            self.copy();
        }
    }

    #[cold]
    fn copy(&self) {
        let removed = self.shared.copy_to(&mut self.ring.borrow_mut());
        drop(removed); // the user's code, which may publish
    }
}

impl<T: Send + Sync + 'static> AnyPart for Part<T> {
    /// Wakes all subscribers that wait, a few at a time: what each of them does takes some
    /// microseconds, and the other fibers of the shard must not wait for thousands of them.
    fn deliver(&self) {
        self.mail.look();
        if self.delivery.get() != Delivery::No {
            return self.delivery.set(Delivery::Again);
        }
        let _over = OnDrop(|| self.delivery.set(Delivery::No));
        loop {
            self.delivery.set(Delivery::Begun);
            self.look();
            for some in self.take_waiting().chunks(WAKES) {
                some.iter().for_each(Waiter::wake);
                yield_now();
            }
            if self.delivery.get() == Delivery::Begun {
                return;
            }
        }
    }

    fn into_any(self: Rc<Self>) -> Rc<dyn Any> {
        self
    }
}

impl<T> Drop for Part<T> {
    fn drop(&mut self) {
        self.shared.leave(&self.mail);
        let (shard, hub) = (self.mail.shard_id(), self.shared.id);
        // At the end of the thread there may be no list any more.
        let _ = PARTS.try_with(|parts| {
            parts.borrow_mut().retain(|place| (place.shard, place.hub) != (shard, hub));
        });
    }
}

/// Calls a closure when it is dropped, also by an unwind.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// How many subscribers are woken at a time. Arbitrary: if each sends an event to its client, that
/// takes about two milliseconds.
const WAKES: usize = 256;
