//! A message of a hub, and why there is none.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A message and its number: what [`Subscriber::recv`](super::Subscriber::recv) returns. All
/// subscribers share the value.
///
/// ```
/// use straightline_sched::{self as sched, hub::Hub};
///
/// sched::run(|| {
///     let hub = Hub::new(1);
///     let subscriber = hub.subscribe();
///     hub.publish("hello".to_owned());
///     let message = subscriber.recv().unwrap();
///     assert_eq!((message.id(), message.len()), (1, 5)); // it derefs to the value
/// });
/// ```
pub struct Message<T> {
    pub(super) id: u64,
    pub(super) value: Arc<T>,
}

/// Why [`Subscriber::recv`](super::Subscriber::recv) has no message to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All handles of the hub are gone and no message is left; or there is no message, and the
    /// caller unwinds and so may not wait.
    Closed,
    /// The subscriber will never see so many messages: the hub keeps only newer ones. The next call
    /// returns the oldest message that is left.
    Lagged(u64),
}

/// Why [`Subscriber::try_recv`](super::Subscriber::try_recv) has no message to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no message now.
    Empty,
    /// All handles of the hub are gone and no message is left.
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

impl<T> Message<T> {
    /// The number of the message: 1 for the first of the hub, and each one more than the one
    /// before. Not a yield point.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The value, which all subscribers share. Not a yield point.
    pub fn into_value(self) -> Arc<T> {
        self.value
    }
}

impl<T> Deref for Message<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Message<T> {
    fn clone(&self) -> Self {
        Self { id: self.id, value: Arc::clone(&self.value) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("value", &self.value).finish()
    }
}

impl<T: PartialEq> PartialEq for Message<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.value == other.value
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the hub is closed"),
            Self::Lagged(missed) => write!(f, "the subscriber has missed {missed} messages"),
        }
    }
}

impl Error for RecvError {}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no message now"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
        }
    }
}

impl Error for TryRecvError {}
