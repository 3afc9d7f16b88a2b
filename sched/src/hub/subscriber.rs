//! A subscriber of a hub.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use slotmap::DefaultKey;

use super::message::{Message, RecvError, TryRecvError};
use super::part::Part;
use crate::sync::watch::{Watch, Watcher};
use crate::sync::{Selectable, select};

/// Gets what is published in a hub; [`Hub::subscribe`](super::Hub::subscribe) makes it. It belongs
/// to its shard, and is a thing to [`select`](crate::sync::select()) on: ready when there is a
/// message, or when no further one can come.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, hub::Hub, sync::{after, select}};
///
/// sched::run(|| {
///     let hub = Hub::new(16);
///     let subscriber = hub.subscribe();
///     let publisher = std::thread::spawn(move || hub.publish("hello"));
///     match select(&[&subscriber, &after(Duration::from_secs(60))]).unwrap() {
///         0 => assert_eq!(*subscriber.try_recv().unwrap(), "hello"),
///         _ => unreachable!("a minute"),
///     }
///     publisher.join().unwrap();
/// });
/// ```
pub struct Subscriber<T: Send + Sync + 'static> {
    part: Rc<Part<T>>,
    key: DefaultKey,
    /// The number of the message that it wants next.
    next: Cell<u64>,
}

impl<T: Send + Sync + 'static> Subscriber<T> {
    pub(super) fn new(part: Rc<Part<T>>, next: u64) -> Self {
        let key = part.enter();
        Self { part, key, next: Cell::new(next) }
    }

    /// Takes this subscriber's next message, once there is one.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits for a message, and lets other fibers run now and then even if there
    /// is one.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has taken nothing: the message
    /// stays for the next call.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv(&self) -> Result<Message<T>, RecvError> {
        loop {
            // It is a checkpoint, also if there is a message.
            let waited = select(&[self]);
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                Err(TryRecvError::Empty) if waited.is_err() => return Err(RecvError::Closed),
                Err(TryRecvError::Empty) => {}
            }
        }
    }

    /// Takes this subscriber's next message if there is one. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    ///
    /// ```
    /// use straightline_sched::{self as sched, hub::{Hub, TryRecvError}};
    ///
    /// sched::run(|| {
    ///     let hub = Hub::new(1);
    ///     let subscriber = hub.subscribe();
    ///     assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    ///     hub.publish("lost");
    ///     hub.publish("kept");
    ///     drop(hub);
    ///     assert_eq!(subscriber.try_recv(), Err(TryRecvError::Lagged(1)));
    ///     assert_eq!(*subscriber.try_recv().unwrap(), "kept");
    ///     assert_eq!(subscriber.try_recv(), Err(TryRecvError::Closed));
    /// });
    /// ```
    pub fn try_recv(&self) -> Result<Message<T>, TryRecvError> {
        let taken = self.part.take(self.next.get());
        match &taken {
            Ok(message) => self.next.set(message.id + 1),
            Err((TryRecvError::Lagged(missed), first)) => {
                self.part.shared.record_missed(*missed);
                self.next.set(*first);
            }
            Err(_) => {}
        }
        taken.map_err(|(error, _)| error)
    }

    /// The number of the message that it wants next. Not a yield point.
    pub fn next_id(&self) -> u64 {
        self.next.get()
    }
}

impl<T: Send + Sync + 'static> Selectable for Subscriber<T> {}

impl<T: Send + Sync + 'static> Watch for Subscriber<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        self.part.watch(self.key, self.next.get(), watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.part.unwatch(self.key, watcher);
    }
}

impl<T: Send + Sync + 'static> Drop for Subscriber<T> {
    fn drop(&mut self) {
        self.part.leave(self.key);
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("next_id", &self.next_id()).finish_non_exhaustive()
    }
}
