//! A channel for one message.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

pub use std::sync::mpsc::{RecvError, SendError, TryRecvError};

use super::wait_queue::{QueuePolicy, Ticket, WaitQueue};
use super::waiter::{Wakes, may_wait};
use super::watch::{Watch, Watcher, Watchers};
use crate::core::try_checkpoint;

/// A channel for one message: an answer, the end of a job.
///
/// ```
/// use straightline_sched::{self as sched, sync::oneshot};
///
/// sched::run(|| {
///     let (sender, receiver) = oneshot::channel();
///     std::thread::spawn(move || sender.send("from another thread"));
///     assert_eq!(receiver.recv(), Ok("from another thread"));
/// });
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (queue, watchers) = (WaitQueue::new(), Watchers::new());
    let state = State { value: None, sender_gone: false, abandoned: false, queue, watchers };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// The right to send the message.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The right to receive the message.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    value: Option<T>,
    sender_gone: bool,
    /// The receiver is gone.
    abandoned: bool,
    queue: WaitQueue,
    watchers: Watchers,
}

impl<T> Sender<T> {
    /// Sends the message. Not a yield point.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let mut state = self.shared.lock();
        if state.abandoned {
            return Err(SendError(value));
        }
        state.value = Some(value);
        drop(state);
        drop(self); // which wakes the receiver
        Ok(())
    }

    /// Whether the receiver is gone, so that the message is not wanted any more. Not a yield point.
    ///
    /// ```
    /// use straightline_sched::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel::<u32>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.shared.lock().abandoned
    }
}

impl<T> Receiver<T> {
    /// Waits for the message and takes it.
    ///
    /// # Blocking
    ///
    /// A yield point, also if the message is there: it lets other fibers run now and then.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has taken nothing: the message
    /// stays for the next call.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the sender was dropped without a message, or the message was taken before;
    /// also if the message has not come yet and the caller unwinds, and so may not wait.
    pub fn recv(&self) -> Result<T, RecvError> {
        try_checkpoint();
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
            may_wait().map_err(|_| RecvError)?;
            let state = self.shared.lock();
            if state.is_ready() {
                continue;
            }
            let ticket = Ticket::join(&self.shared, state, State::POLICY, 1);
            ticket.wait(&"Receiver::recv").map_err(|_| RecvError)?;
        }
    }

    /// Takes the message if it is there. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether it may come later.
    ///
    /// ```
    /// use straightline_sched::sync::oneshot::{self, TryRecvError};
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(5).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(5));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.shared.lock();
        let gone = state.sender_gone;
        let error = if gone { TryRecvError::Disconnected } else { TryRecvError::Empty };
        state.value.take().ok_or(error)
    }
}

impl<T> State<T> {
    /// All waiters are dismissed together, so a waiter that leaves changes nothing for the others.
    const POLICY: QueuePolicy<Self> =
        QueuePolicy { queue: |state| &mut state.queue, left: |_, _, _| () };

    fn is_ready(&self) -> bool {
        self.sender_gone || self.value.is_some()
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

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.sender_gone = true;
        state.queue.dismiss_all(&mut wakes);
        state.watchers.wake_all(&mut wakes);
        drop(state);
        wakes.wake_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        let unread = state.value.take();
        drop(state);
        drop(unread); // without the lock: its destructor may use the channel
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
