//! What other threads may ask of a shard: run a new fiber, wake one.
//!
//! This is the only door into a shard from outside its thread. A message is put into the letterbox
//! and the driver's waker rung; the shard empties the box once a turn.

use std::fmt;
use std::sync::Arc;

use super::letterbox::Letterbox;
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
    letters: Letterbox<Message>,
    waker: Waker,
}

pub(crate) enum Message {
    Spawn(Box<dyn FnOnce() + Send>),
    Unpark(FiberKey),
    Wake(FiberKey),
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
    pub fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        self.mailbox.send(Message::Spawn(Box::new(body)))
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
        Self { letters: Letterbox::new(), waker }
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), Closed> {
        self.letters.push(message).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }

    /// What has come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Message> {
        self.letters.take()
    }

    /// From now on every send fails; what had come before is returned.
    pub(crate) fn close(&self) -> Vec<Message> {
        self.letters.close()
    }
}
