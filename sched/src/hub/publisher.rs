//! The handle of a hub.

use std::fmt;
use std::sync::Arc;

use super::part::{Part, deliver};
use super::ring::Bounds;
use super::shared::Shared;
use super::subscriber::Subscriber;
use crate::core::charge;

/// Publishes messages to the [`Subscriber`]s of all shards; [the module](super) has the story.
///
/// Clones are handles of the same hub. When the last one is dropped, the subscribers get the
/// messages that are left, and then [`Closed`](super::RecvError::Closed).
///
/// ```
/// use straightline_sched::{self as sched, hub::{Hub, TryRecvError}};
///
/// sched::run(|| {
///     let hub = Hub::new(2);
///     for word in ["one", "two", "three"] {
///         hub.publish(word);
///     }
///     let late = hub.subscribe_after(0);
///     assert_eq!(late.try_recv(), Err(TryRecvError::Lagged(1))); // the hub keeps two
///     assert_eq!(*late.try_recv().unwrap(), "two");
///     assert_eq!(late.next_id(), 3);
/// });
/// ```
pub struct Hub<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + Sync + 'static> Hub<T> {
    /// A hub that keeps the newest `messages_max` messages. Not a yield point.
    ///
    /// # Panics
    ///
    /// When `messages_max` is 0.
    #[track_caller]
    pub fn new(messages_max: usize) -> Self {
        Self::bounded(messages_max, usize::MAX, |_| 0)
    }

    /// A hub that keeps the newest messages: at most `messages_max`, with at most `bytes_max` bytes
    /// in all, as `size` measures each of them. The newest message is kept even if it is larger.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// When `messages_max` is 0.
    ///
    /// ```
    /// use straightline_sched::{self as sched, hub::Hub};
    ///
    /// sched::run(|| {
    ///     let hub = Hub::bounded(100, 10, String::len);
    ///     ["123456", "1234", "1"].map(|text| hub.publish(text.to_owned()));
    ///     let subscriber = hub.subscribe_after(1);
    ///     assert_eq!(**subscriber.recv().unwrap(), *"1234");
    /// });
    /// ```
    #[track_caller]
    pub fn bounded(messages_max: usize, bytes_max: usize, size: fn(&T) -> usize) -> Self {
        assert!(
            messages_max > 0,
            "straightline: `Hub::bounded` with room for 0 messages: give it room for 1 at least"
        );
        Self { shared: Shared::new(Bounds { messages_max, bytes_max }, size) }
    }

    /// Publishes to all subscribers, and returns the number of the message. From every thread.
    ///
    /// # Blocking
    ///
    /// It never waits, but is a yield point now and then: it lets other fibers run, the subscribers
    /// among them, if the caller has used up its share of the thread.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has not published: `value` is
    /// dropped with its frame.
    pub fn publish(&self, value: T) -> u64 {
        charge();
        let value = Arc::new(value);
        let id = self.shared.push(|_| Arc::clone(&value));
        drop(value);
        self.shared.tell(deliver);
        id
    }

    /// As [`publish`](Self::publish), for a message that contains its number. If several threads
    /// publish at the same time, `make` may be called again, with another number.
    ///
    /// # Blocking
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancellation
    ///
    /// As [`publish`](Self::publish).
    ///
    /// ```
    /// use straightline_sched::{self as sched, hub::Hub};
    ///
    /// sched::run(|| {
    ///     let hub = Hub::new(16);
    ///     let subscriber = hub.subscribe();
    ///     hub.publish_with(|id| format!("message {id}"));
    ///     assert_eq!(**subscriber.recv().unwrap(), *"message 1");
    /// });
    /// ```
    pub fn publish_with(&self, mut make: impl FnMut(u64) -> T) -> u64 {
        charge();
        let id = self.shared.push(|id| Arc::new(make(id)));
        self.shared.tell(deliver);
        id
    }

    /// A subscriber on the calling shard. It gets the messages that are published from now on. Not
    /// a yield point.
    ///
    /// # Panics
    ///
    /// On a thread without a shard.
    #[track_caller]
    pub fn subscribe(&self) -> Subscriber<T> {
        self.subscribe_after(u64::MAX)
    }

    /// A subscriber on the calling shard that has seen the messages up to the number `id`: it gets
    /// all later ones that the hub still has. If the hub has removed some of them,
    /// the first `recv` says how many ([`Lagged`](super::RecvError::Lagged)).
    ///
    /// The number 0 stands before the first message. A number that no message has yet, such as
    /// [`u64::MAX`], stands for the newest one.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// On a thread without a shard.
    #[track_caller]
    pub fn subscribe_after(&self, id: u64) -> Subscriber<T> {
        let Some(part) = Part::here(&self.shared) else {
            panic!("straightline: a hub has no subscribers on a thread without a shard");
        };
        Subscriber::new(part, self.shared.next().min(id.saturating_add(1)))
    }

    /// The number of the oldest message that the hub still has, or of the next one if it has none.
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::{self as sched, hub::Hub};
    ///
    /// sched::run(|| {
    ///     let hub = Hub::new(2);
    ///     ["1", "2", "3"].map(|text| hub.publish(text));
    ///     let all = hub.subscribe_after(hub.oldest_id() - 1);
    ///     assert_eq!(*all.recv().unwrap(), "2");
    /// });
    /// ```
    pub fn oldest_id(&self) -> u64 {
        self.shared.oldest()
    }

    /// The number of the newest message; 0 before the first. Not a yield point.
    pub fn newest_id(&self) -> u64 {
        self.shared.next() - 1
    }

    /// How many subscribers there are, on all shards. Not a yield point.
    pub fn subscribers(&self) -> usize {
        self.shared.subscribers()
    }

    /// How many messages were missed, by all subscribers together, because they were too slow or
    /// came too late. Not a yield point.
    pub fn missed(&self) -> u64 {
        self.shared.missed()
    }
}

impl<T: Send + Sync + 'static> Clone for Hub<T> {
    fn clone(&self) -> Self {
        self.shared.add_handle();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static> Drop for Hub<T> {
    fn drop(&mut self) {
        if self.shared.remove_handle() {
            self.shared.tell(deliver);
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("newest_id", &self.newest_id())
            .field("subscribers", &self.subscribers())
            .finish_non_exhaustive()
    }
}
