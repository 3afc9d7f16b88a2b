//! A channel: many senders, one receiver, bounded or not.
//!
//! One short lock holds both ends. When the receiver takes a message, the first waiting sender is
//! *promised* the place, and it fills the place when it runs. So senders take turns, and a sender
//! that unwinds instead passes the promise on. A waiting receiver is promised nothing: it is woken
//! and looks. If it unwinds, or another fiber was quicker, each message that is left has a wake-up:
//!
//! - `queue.len() + promised <= bound`;
//! - a sender waits ⇒ `queue.len() + promised == bound`;
//! - a receiver waits ⇒ for each message one receiver was granted, and has not run since.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

pub use std::sync::mpsc::{RecvError, SendError, TryRecvError, TrySendError};

use super::wait_queue::{QueuePolicy, Ticket, WaitEnd, WaitQueue};
use super::waiter::{Wakes, checkpoint, may_wait};
use super::watch::{Watch, Watcher, Watchers};
use crate::core::has_hook;

/// A channel with room for `bound` messages: a sender waits while it is full.
///
/// # Panics
///
/// When `bound` is 0. A message always lies in the channel before it is received.
///
/// ```
/// use straightline_sched::{self as sched, sync::mpsc};
///
/// sched::run(|| {
///     let (sender, receiver) = mpsc::channel(2);
///     for name in ["a", "b"] {
///         let sender = sender.clone();
///         sched::spawn(move || (0..3).try_for_each(|number| sender.send((name, number))));
///     }
///     drop(sender);
///     let received: Vec<_> = receiver.into_iter().collect(); // until both are done
///     assert_eq!(received.len(), 6);
/// });
/// ```
#[track_caller]
pub fn channel<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        bound > 0,
        "straightline: `mpsc::channel(0)`: a channel has room for 1 message at least; where a \
         message is to go from hand to hand, take 1 and have the receiver answer"
    );
    let shared = Arc::new(Mutex::new(State {
        queue: VecDeque::new(),
        promised: 0,
        bound,
        senders: 1,
        abandoned: false,
        sending: WaitQueue::new(),
        receiving: WaitQueue::new(),
        watchers: Watchers::new(),
    }));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// A channel where sending never waits. Nothing but the receiver's speed bounds its memory.
///
/// ```
/// use straightline_sched::sync::mpsc;
///
/// let (sender, receiver) = mpsc::unbounded();
/// sender.send(5).unwrap();
/// assert_eq!(receiver.recv(), Ok(5));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

/// The sending end of a channel; clone it for each sender.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The receiving end of a channel.
///
/// There is one. Several fibers may share it, by reference or `Arc`: each message goes to one of
/// them.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Room that waiting senders were promised and have not filled yet.
    promised: usize,
    bound: usize,
    senders: usize,
    /// The receiver is gone.
    abandoned: bool,
    sending: WaitQueue,
    receiving: WaitQueue,
    watchers: Watchers,
}

impl<T> Sender<T> {
    /// Puts a message into the channel, once there is room.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits while the channel is full, in the order of the callers, and lets
    /// other fibers run now and then even if there is room.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has not sent: `value` is dropped
    /// with its frame.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone; also if the channel is full and the caller unwinds, and
    /// so may not wait.
    pub fn send(&self, mut value: T) -> Result<(), SendError<T>> {
        // A fiber that is to end raises here or in `may_wait`. Its result matters only to a caller
        // that has to wait, and `may_wait` gives it again.
        let _ = checkpoint();
        loop {
            value = match self.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(value)) => return Err(SendError(value)),
                Err(TrySendError::Full(value)) => value,
            };
            if may_wait().is_err() {
                return Err(SendError(value));
            }
            let state = self.shared.lock();
            if state.abandoned || state.has_room() {
                continue; // things changed meanwhile
            }
            let ticket = Ticket::join(&self.shared, state, State::SENDING, 1);
            return match ticket.wait(&"Sender::send") {
                Ok(WaitEnd::Granted) => self.fulfil(value),
                Ok(WaitEnd::Dismissed) | Err(_) => Err(SendError(value)),
            };
        }
    }

    /// Puts a message into the channel if there is room and no other sender waits for room.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The value, with the reason.
    ///
    /// ```
    /// use straightline_sched::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel(1);
    /// assert!(sender.try_send(1).is_ok());
    /// assert_eq!(sender.try_send(2), Err(mpsc::TrySendError::Full(2)));
    /// drop(receiver);
    /// assert_eq!(sender.try_send(3), Err(mpsc::TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.shared.lock();
        if state.abandoned {
            return Err(TrySendError::Disconnected(value));
        }
        if !state.has_room() {
            return Err(TrySendError::Full(value));
        }
        let mut wakes = Wakes::default();
        state.push(value, &mut wakes);
        drop(state);
        wakes.wake_all();
        Ok(())
    }

    /// Whether the receiver is gone, so that sending is in vain. Not a yield point.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().abandoned
    }

    /// Uses the room that the caller was promised.
    fn fulfil(&self, value: T) -> Result<(), SendError<T>> {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.promised -= 1;
        if state.abandoned {
            return Err(SendError(value));
        }
        state.push(value, &mut wakes);
        drop(state);
        wakes.wake_all();
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest message out of the channel, once there is one.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits while the channel is empty, and lets other fibers run now and then
    /// even if it is not.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has taken nothing: the message
    /// stays for the next call.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and no message is left; also if the channel is empty
    /// and the caller unwinds, and so may not wait.
    pub fn recv(&self) -> Result<T, RecvError> {
        let passed = checkpoint();
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        // A receiver that was granted may find nothing: a `try_recv` on another fiber can be
        // faster.
        let result = loop {
            if let Some(result) = state.take(&mut wakes) {
                drop(state);
                break result;
            }
            passed.map_err(|_| RecvError)?;
            if has_hook() {
                drop(state);
                may_wait().map_err(|_| RecvError)?;
                state = self.shared.lock();
                continue;
            }
            let ticket = Ticket::join(&self.shared, state, State::RECEIVING, 1);
            let taken = ticket.wait_then(&"Receiver::recv", |state, _| state.take(&mut wakes));
            if let Some(result) = taken.map_err(|_| RecvError)? {
                break result;
            }
            state = self.shared.lock();
        };
        wakes.wake_all();
        result.map_err(|_| RecvError)
    }

    /// Takes the oldest message out of the channel if there is one.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether there may be one later.
    ///
    /// ```
    /// use straightline_sched::sync::mpsc::{self, TryRecvError};
    ///
    /// let (sender, receiver) = mpsc::channel(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(5).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok(5));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut wakes = Wakes::default();
        let taken = self.shared.lock().take(&mut wakes);
        wakes.wake_all();
        taken.unwrap_or(Err(TryRecvError::Empty))
    }

    /// Receives until all senders are gone.
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
    /// use straightline_sched::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::unbounded();
    /// (1..=3).try_for_each(|number| sender.send(number)).unwrap();
    /// assert_eq!(receiver.iter().take(2).sum::<i32>(), 3);
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [3]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// Receives the messages that are in the channel now, without waiting. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::unbounded();
    /// sender.send(5).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [5]); // the sender is still there
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

impl<T> State<T> {
    const SENDING: QueuePolicy<Self> =
        QueuePolicy { queue: |state| &mut state.sending, left: Self::sender_left };
    const RECEIVING: QueuePolicy<Self> =
        QueuePolicy { queue: |state| &mut state.receiving, left: Self::receiver_left };

    /// Whether a new sender need not wait; false while another one waits.
    fn has_room(&self) -> bool {
        self.queue.len() + self.promised < self.bound
    }

    /// The oldest message; the error if there will be none; `None` if one may come later.
    fn take(&mut self, wakes: &mut Wakes) -> Option<Result<T, TryRecvError>> {
        if let Some(value) = self.queue.pop_front() {
            self.promise(wakes);
            return Some(Ok(value));
        }
        (self.senders == 0).then_some(Err(TryRecvError::Disconnected))
    }

    /// Whether a new receiver need not wait.
    fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.senders == 0
    }

    fn push(&mut self, value: T, wakes: &mut Wakes) {
        self.queue.push_back(value);
        self.receiving.grant_front(wakes);
        self.watchers.wake_all(wakes);
    }

    /// Promises a free place to the sender that has waited longest.
    fn promise(&mut self, wakes: &mut Wakes) {
        if self.sending.grant_front(wakes) {
            self.promised += 1;
        }
    }

    fn sender_left(&mut self, granted: Option<usize>, wakes: &mut Wakes) {
        if granted.is_some() {
            self.promised -= 1;
            self.promise(wakes);
        }
    }

    fn receiver_left(&mut self, granted: Option<usize>, wakes: &mut Wakes) {
        if granted.is_some() && !self.queue.is_empty() {
            self.receiving.grant_front(wakes);
        }
    }
}

impl<T> Watch for Receiver<T> {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut state = self.shared.lock();
        let ready = state.is_ready();
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
            state.receiving.dismiss_all(&mut wakes);
            state.watchers.wake_all(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.abandoned = true;
        let unread = mem::take(&mut state.queue);
        state.sending.dismiss_all(&mut wakes);
        drop(state);
        wakes.wake_all();
        drop(unread); // without the lock: destructors may use the channel
    }
}

/// What [`Receiver::iter`] returns.
#[derive(Debug)]
pub struct Iter<'r, T> {
    receiver: &'r Receiver<T>,
}

/// What [`Receiver::try_iter`] returns.
#[derive(Debug)]
pub struct TryIter<'r, T> {
    receiver: &'r Receiver<T>,
}

/// The messages of a [`Receiver`] that was made an iterator.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    /// A yield point, as [`Receiver::recv`].
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    /// Not a yield point.
    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    /// A yield point, as [`Receiver::recv`].
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<'r, T> IntoIterator for &'r Receiver<T> {
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
