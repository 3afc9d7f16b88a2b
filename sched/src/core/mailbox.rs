//! What other threads may ask of a shard: run a new fiber, wake one.
//!
//! This is the only door into a shard from outside its thread. A message is pushed under a short
//! lock and the driver's waker rung; the shard empties the box once a turn.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;

use super::counters::{Counters, Stats};
use super::inspect::FiberInfo;
use super::local;
use crate::driver::Waker;
use crate::fiber::FiberKey;

/// A way to a shard that any thread may hold.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (shard, me) = (sched::Handle::current(), sched::current());
///     let helper = std::thread::spawn(move || shard.spawn(move || me.unpark()));
///     sched::park();
///     assert!(helper.join().unwrap().is_ok());
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle {
    mailbox: Arc<Mailbox>,
    counters: Arc<Counters>,
}

/// The shard has ended: nothing can be sent to it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// There may be messages: saves the shard the lock in most turns.
    pending: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    /// No new fibers: the shard is ending those that it has.
    ending: bool,
    closed: bool,
}

pub(crate) enum Message {
    Spawn(Sent),
    Unpark(FiberKey),
    Wake(FiberKey),
    /// List the fibers, with so many backtraces.
    Inspect(usize, mpsc::Sender<Vec<FiberInfo>>),
}

/// A fiber that another thread wants to be run.
pub(crate) struct Sent {
    pub(crate) body: Box<dyn FnOnce() + Send>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Handle {
    /// The handle of the shard that the calling fiber runs on.
    ///
    /// # Panics
    ///
    /// Outside of [`run`](crate::run).
    pub fn current() -> Self {
        local::with(|shard| Self {
            mailbox: Arc::clone(&shard.mailbox),
            counters: Arc::clone(&shard.counters),
        })
    }

    /// The shard's counters; the gauges among them as they were in its last turn.
    ///
    /// Not a yield point.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Runs `body` as a new fiber of that shard, at the earliest in its next turn.
    ///
    /// The closure crosses threads, hence `Send`; what it makes on the other side need not be.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the shard has ended; `body` is then dropped here.
    #[track_caller]
    pub fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        let spawned_at = Location::caller();
        self.mailbox.send(Message::Spawn(Sent { body: Box::new(body), spawned_at }))
    }
}

impl Handle {
    /// Lists every fiber of the shard, with the backtraces of at most `backtraces_max` parked ones.
    /// For a thread of its own, such as one that waits for a signal: a fiber uses
    /// [`inspect`](crate::inspect).
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until the shard has answered, which it does between two fibers'
    /// turns.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if it has not after `timeout`, because a fiber keeps its thread;
    /// [`io::ErrorKind::NotConnected`] if the shard has ended.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched as sched;
    ///
    /// sched::run(|| {
    ///     let (shard, me) = (sched::Handle::current(), sched::current());
    ///     let asker = std::thread::spawn(move || {
    ///         let fibers = shard.inspect(10, Duration::from_secs(10));
    ///         me.unpark();
    ///         fibers.map(|fibers| fibers.len())
    ///     });
    ///     sched::park();
    ///     assert_eq!(asker.join().unwrap()?, 1);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn inspect(&self, backtraces_max: usize, timeout: Duration) -> io::Result<Vec<FiberInfo>> {
        let here = local::try_with(|shard| {
            let is_mine = Arc::ptr_eq(&shard.mailbox, &self.mailbox);
            is_mine.then(|| shard.inspect_with_backtraces(backtraces_max))
        });
        if let Some(fibers) = here.flatten() {
            return Ok(fibers);
        }
        let (sender, answer) = mpsc::channel();
        let closed = |_| io::Error::new(io::ErrorKind::NotConnected, Closed);
        self.mailbox.send(Message::Inspect(backtraces_max, sender)).map_err(closed)?;
        answer.recv_timeout(timeout).map_err(|error| match error {
            mpsc::RecvTimeoutError::Disconnected => closed(Closed),
            mpsc::RecvTimeoutError::Timeout => io::Error::new(
                io::ErrorKind::TimedOut,
                "the shard does not answer: a fiber keeps its thread",
            ),
        })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shard has ended")
    }
}

impl std::error::Error for Closed {}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { state: Mutex::default(), pending: AtomicBool::new(false), waker }
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), Closed> {
        let mut state = self.state.lock();
        let is_refused = state.ending && matches!(message, Message::Spawn(_));
        if state.closed || is_refused {
            // The message is dropped after the lock is released: it may run a destructor.
            drop(state);
            return Err(Closed);
        }
        state.messages.push(message);
        self.pending.store(true, Ordering::Release);
        drop(state);
        self.waker.wake();
        Ok(())
    }

    /// What has come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Message> {
        if !self.pending.load(Ordering::Acquire) {
            return Vec::new();
        }
        // Before the lock: a message that comes after it sets the flag again.
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.state.lock().messages)
    }

    /// From now on no fiber can be sent; what had come before is returned.
    pub(crate) fn close_to_spawns(&self) -> Vec<Message> {
        let mut state = self.state.lock();
        state.ending = true;
        std::mem::take(&mut state.messages)
    }

    /// From now on every send fails.
    pub(crate) fn close(&self) {
        let messages = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.messages)
        };
        debug_assert!(!messages.iter().any(|message| matches!(message, Message::Spawn(_))));
    }
}
