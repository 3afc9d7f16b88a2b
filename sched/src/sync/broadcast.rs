//! A channel where every receiver gets every message.
//!
//! The messages lie in one queue, numbered; each receiver knows the number that it wants next. A
//! message is removed when the last receiver has seen it, or when a newer message needs its place:
//! a sender never waits for a slow receiver. No message is cloned or dropped under the lock, since
//! its code is the user's and may do anything.
//!
//! Invariant: a message that all receivers have seen is never behind one that a receiver has not
//! seen, so the messages that can be removed are at the front.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use std::sync::mpsc::SendError;

use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use super::watch::{Watch, Watcher, Watchers};
use crate::core::{charge, try_checkpoint};

/// A channel that keeps the newest `capacity` messages for each receiver.
///
/// # Panics
///
/// When `capacity` is 0.
///
/// ```
/// use straightline_sched::{self as sched, sync::broadcast::{self, RecvError}};
///
/// sched::run(|| {
///     let (sender, slow) = broadcast::channel(2);
///     let fast = sender.subscribe();
///     let fiber = sched::spawn(move || [fast.recv().unwrap(), fast.recv().unwrap()]);
///     sched::yield_now();
///     for message in 1..=3 {
///         sender.send(message).unwrap();
///         sched::yield_now();
///     }
///     assert_eq!(fiber.join().unwrap(), [1, 2]);
///     assert_eq!(slow.recv(), Err(RecvError::Lagged(1))); // it missed one
///     assert_eq!(slow.recv(), Ok(2));
/// });
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "straightline: `broadcast::channel(0)`: a channel has room for 1 message at least"
    );
    let shared = Arc::new(Mutex::new(State {
        messages: VecDeque::new(),
        first: 0,
        capacity,
        senders: 1,
        receivers: 1,
        queue: WaitQueue::new(),
        watchers: Watchers::new(),
    }));
    let receiver = Receiver { shared: Arc::clone(&shared), next: AtomicU64::new(0) };
    (Sender { shared }, receiver)
}

/// The sending end; clone it for each sender.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// One of the receiving ends; [`Sender::subscribe`] makes more.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    /// The number of the message that it wants next; read and written under the lock.
    next: AtomicU64,
}

/// Why [`Receiver::recv`] has no message to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone and no message is left; or there is no message, and the caller unwinds
    /// and so may not wait.
    Closed,
    /// The receiver was slower than the channel is long: it will never see so many messages. The
    /// next call returns the oldest message that is left.
    Lagged(u64),
}

/// Why [`Receiver::try_recv`] has no message to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no message now.
    Empty,
    /// All senders are gone and no message is left.
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

struct State<T> {
    /// At most `capacity`, oldest first.
    messages: VecDeque<Message<T>>,
    /// The number of the oldest message, or of the next one if there is none.
    first: u64,
    capacity: usize,
    senders: usize,
    receivers: usize,
    queue: WaitQueue,
    watchers: Watchers,
}

struct Message<T> {
    value: Arc<T>,
    /// How many receivers have not seen it.
    unseen: usize,
}

impl<T> Sender<T> {
    /// Sends to every receiver of the channel, and returns how many there are. If the channel is
    /// full, the oldest message is removed.
    ///
    /// # Blocking
    ///
    /// It never waits, but is a yield point now and then: it lets other fibers run, the receivers
    /// among them, if the caller has used up its share of the thread.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has not sent: `value` is dropped
    /// with its frame.
    ///
    /// # Errors
    ///
    /// The value, if there is no receiver now.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        charge();
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        let receivers = state.receivers;
        if receivers == 0 {
            return Err(SendError(value));
        }
        let oldest = if state.messages.len() == state.capacity { state.pop() } else { None };
        state.messages.push_back(Message { value: Arc::new(value), unseen: receivers });
        state.queue.dismiss_all(&mut wakes);
        state.watchers.wake_all(&mut wakes);
        drop(state);
        wakes.wake_all();
        drop(oldest);
        Ok(receivers)
    }

    /// One more receiver. It gets the messages that are sent from now on. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::broadcast;
    ///
    /// let (sender, first) = broadcast::channel(4);
    /// sender.send("before").unwrap();
    /// let second = sender.subscribe();
    /// assert_eq!(sender.send("after"), Ok(2));
    /// assert_eq!((first.try_recv(), second.try_recv()), (Ok("before"), Ok("after")));
    /// drop(second);
    /// assert_eq!(sender.receiver_count(), 1);
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.lock();
        state.receivers += 1;
        let next = AtomicU64::new(state.end());
        Receiver { shared: Arc::clone(&self.shared), next }
    }

    /// How many receivers there are. Not a yield point.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().receivers
    }
}

impl<T: Clone> Receiver<T> {
    /// Takes this receiver's next message, once there is one.
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
    pub fn recv(&self) -> Result<T, RecvError> {
        try_checkpoint();
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                Err(TryRecvError::Empty) => {}
            }
            may_wait().map_err(|_| RecvError::Closed)?;
            let state = self.shared.lock();
            if state.is_ready(self) {
                continue;
            }
            let ticket = Ticket::join(&self.shared, state, State::POLICY, 1);
            ticket.wait(&"Receiver::recv").map_err(|_| RecvError::Closed)?;
        }
    }

    /// Takes this receiver's next message if there is one. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    ///
    /// ```
    /// use straightline_sched::sync::broadcast::{self, TryRecvError};
    ///
    /// let (sender, receiver) = broadcast::channel(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send("lost").unwrap();
    /// sender.send("new").unwrap();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(1)));
    /// assert_eq!(receiver.try_recv(), Ok("new"));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let (value, seen_by_all) = self.shared.lock().take(self)?;
        drop(seen_by_all);
        Ok(Arc::try_unwrap(value).unwrap_or_else(|value| T::clone(&value)))
    }

    /// Receives until all senders are gone, and skips the messages that the receiver has missed.
    ///
    /// # Blocking
    ///
    /// Not a yield point itself; each step of the iterator is a [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// As [`recv`](Self::recv).
    ///
    /// ```
    /// use straightline_sched::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(2);
    /// (1..=3).try_for_each(|number| sender.send(number).map(drop)).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [2, 3]); // there was room for two
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }
}

impl<T> State<T> {
    /// All waiters are dismissed together, so a waiter that leaves changes nothing for the others.
    const POLICY: QueuePolicy<Self> =
        QueuePolicy { queue: |state| &mut state.queue, left: |_, _, _| () };

    /// The number of the next message that is sent.
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    fn is_ready(&self, receiver: &Receiver<T>) -> bool {
        receiver.next.load(Ordering::Relaxed) < self.end() || self.senders == 0
    }

    /// Removes the oldest message, which the caller drops without the lock.
    fn pop(&mut self) -> Option<Message<T>> {
        let message = self.messages.pop_front()?;
        self.first += 1;
        Some(message)
    }

    /// The receiver's next message. If no other receiver has yet to see it, also its entry in the
    /// queue, which the caller drops without the lock.
    #[allow(clippy::type_complexity)] // a pair for the one caller
    fn take(
        &mut self,
        receiver: &Receiver<T>,
    ) -> Result<(Arc<T>, Option<Message<T>>), TryRecvError> {
        let next = receiver.next.load(Ordering::Relaxed);
        if next < self.first {
            receiver.next.store(self.first, Ordering::Relaxed);
            return Err(TryRecvError::Lagged(self.first - next));
        }
        let position = usize::try_from(next - self.first).unwrap_or(usize::MAX);
        let Some(message) = self.messages.get_mut(position) else {
            let closed = self.senders == 0;
            return Err(if closed { TryRecvError::Closed } else { TryRecvError::Empty });
        };
        receiver.next.store(next + 1, Ordering::Relaxed);
        message.unseen -= 1;
        let value = Arc::clone(&message.value);
        // Only the front message can have become useless: see the invariant.
        let useless = self.messages.front().is_some_and(|front| front.unseen == 0);
        Ok((value, if useless { self.pop() } else { None }))
    }
}

impl<T> Watch for Receiver<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.shared.lock();
        let ready = state.is_ready(self);
        if !ready {
            state.watchers.add(watcher);
        }
        ready
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.shared.lock().watchers.remove(watcher);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.senders -= 1;
        if state.senders == 0 {
            state.queue.dismiss_all(&mut wakes);
            state.watchers.wake_all(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl<T> Drop for Receiver<T> {
    /// A receiver that is gone counts as one that has seen every message.
    fn drop(&mut self) {
        let mut useless = Vec::new();
        let mut state = self.shared.lock();
        state.receivers -= 1;
        let seen = self.next.load(Ordering::Relaxed).saturating_sub(state.first);
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        for message in state.messages.iter_mut().skip(seen) {
            message.unseen -= 1;
        }
        while state.messages.front().is_some_and(|front| front.unseen == 0) {
            useless.extend(state.pop());
        }
        drop(state);
        drop(useless);
    }
}

/// What [`Receiver::iter`] returns.
#[derive(Debug)]
pub struct Iter<'r, T> {
    receiver: &'r Receiver<T>,
}

impl<T: Clone> Iterator for Iter<'_, T> {
    type Item = T;

    /// A yield point, as [`Receiver::recv`].
    fn next(&mut self) -> Option<T> {
        loop {
            match self.receiver.recv() {
                Ok(value) => return Some(value),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl<'r, T: Clone> IntoIterator for &'r Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'r, T>;

    fn into_iter(self) -> Iter<'r, T> {
        self.iter()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the channel is closed: all its senders are gone"),
            Self::Lagged(missed) => {
                write!(
                    f,
                    "the receiver was too slow, and missed {missed} messages: the channel was full"
                )
            }
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel is empty"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
        }
    }
}

impl std::error::Error for RecvError {}

impl std::error::Error for TryRecvError {}
