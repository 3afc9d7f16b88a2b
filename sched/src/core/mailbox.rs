//! What other threads may ask of a shard: run a new fiber, wake one.
//!
//! This is the only door into a shard from outside its thread. A message is pushed under a short
//! lock and the driver's waker rung; the shard empties the box once a turn.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

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
    closed: bool,
}

pub(crate) enum Message {
    Spawn(Sent),
    Unpark(FiberKey),
    Wake(FiberKey),
}

/// What another thread wants run.
pub(crate) struct Sent {
    pub(super) body: Box<dyn FnOnce() + Send>,
    pub(super) spawned_at: &'static Location<'static>,
}

impl Handle {
    /// The handle of the shard that the calling fiber runs on.
    ///
    /// # Panics
    ///
    /// Outside of [`run`](crate::run).
    pub fn current() -> Self {
        local::with(|shard| Self { mailbox: Arc::clone(&shard.mailbox) })
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
        let sent = Sent { body: Box::new(body), spawned_at: Location::caller() };
        self.mailbox.send(Message::Spawn(sent))
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
        if state.closed {
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

    /// From now on every send fails; what had come before is returned.
    pub(crate) fn close(&self) -> Vec<Message> {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.messages)
    }
}
