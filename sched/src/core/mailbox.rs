//! The requests that other threads may send to a shard: run a new fiber, wake a fiber.
//!
//! No other way leads into a shard from outside its thread. A sender puts a message into the queue
//! and notifies the driver; the shard empties the queue once a turn.
//!
//! **Bounds.** A shard whose fiber keeps the thread reads nothing, and messages come all the same.
//! Sent fibers have a limit of their own; values that come home to be dropped are as many as the
//! shard has made. Of all other messages, one of a kind for each fiber is
//! enough, and a question whose asker has left needs no answer: as the queue grows, unnecessary
//! messages are removed. So it never has many more messages than there are fibers to wake.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};

use slotmap::Key;

use super::contain::discard;
use super::fiber_info::FiberInfo;
use super::message_queue::MessageQueue;
use super::source_state::SourceKey;
use crate::driver::Waker;
use crate::fiber::FiberKey;

/// Why a shard refuses a fiber from another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The shard has ended, or is about to end.
    Closed,
    /// As many sent fibers wait to begin as
    /// [`Config::max_sent_fibers`](crate::Config::max_sent_fibers) allows.
    Full,
}

pub(crate) struct Mailbox {
    messages: MessageQueue<Message>,
    /// Fibers that were sent and have not begun; at most `sent_max`, plus those that are being sent
    /// at this moment, and those of `send_home`.
    sent: AtomicUsize,
    sent_max: usize,
    /// No new fibers: the shard is ending its fibers.
    ending: AtomicBool,
    waker: Waker,
}

/// The mailbox is closed.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) enum Message {
    Spawn(Sent),
    Unpark(FiberKey),
    Wake(FiberKey),
    /// From another shard of the simulation: cancel that fiber.
    Cancel(FiberKey),
    /// From another shard of the simulation: the lease of that fiber has ended.
    LookAtEnd(FiberKey),
    /// From another shard of the simulation: that source was dropped.
    Forget(SourceKey),
    Inspect(Question),
    /// Do the maintenance.
    Maintain,
}

/// A request for the list of fibers, with that many backtraces.
pub(crate) struct Question {
    backtraces_max: usize,
    answer: mpsc::Sender<Vec<FiberInfo>>,
    /// Gone when the asker does not wait any more.
    asker: Weak<()>,
}

/// A fiber that another thread sends.
pub(crate) struct Sent {
    pub(crate) body: Box<dyn FnOnce() + Send>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker, sent_max: usize) -> Self {
        let (sent, ending) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { messages: MessageQueue::new(), sent, sent_max, ending, waker }
    }

    /// The mailbox of a shard that has ended.
    pub(super) fn closed() -> Arc<Self> {
        let mailbox = Self::new(Waker::detached(), 0);
        mailbox.ending.store(true, Ordering::Relaxed);
        mailbox.close();
        Arc::new(mailbox)
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), Closed> {
        self.messages.push(message, thin_out).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }

    /// Sends a fiber, which is made only if the mailbox takes it.
    pub(super) fn send_fiber(&self, make: impl FnOnce() -> Sent) -> Result<(), SpawnError> {
        if self.ending.load(Ordering::Relaxed) {
            return Err(SpawnError::Closed);
        }
        if self.sent.fetch_add(1, Ordering::Relaxed) >= self.sent_max {
            self.sent.fetch_sub(1, Ordering::Relaxed);
            return Err(SpawnError::Full);
        }
        self.send(Message::Spawn(make())).map_err(|Closed| SpawnError::Closed)
    }

    /// Sends a fiber that the limit does not count, also to a shard that ends.
    pub(super) fn send_home(&self, sent: Sent) -> Result<(), Closed> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.send(Message::Spawn(sent))
    }

    /// Whether there may be messages.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.messages.is_pending()
    }

    /// The messages that have come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Message> {
        self.messages.take()
    }

    /// A sent fiber is about to begin.
    pub(crate) fn sent_begins(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    /// From now on no fiber can be sent; returns the earlier messages. A fiber that is being sent
    /// at this moment may still come.
    pub(crate) fn close_to_spawns(&self) -> Vec<Message> {
        self.ending.store(true, Ordering::Relaxed);
        self.take()
    }

    /// From now on every send fails. Messages that have come are dropped: wake-ups of fibers that
    /// are over, and fibers that were being sent while the shard ended.
    pub(crate) fn close(&self) {
        self.messages.close().into_iter().for_each(discard);
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the shard has ended, or is about to end",
            Self::Full => {
                "too many fibers wait to begin on the shard: a fiber keeps its thread, or it gets \
                 more than it can run"
            }
        })
    }
}

impl std::error::Error for SpawnError {}

impl Question {
    /// The question, where its answer goes, and a value that the asker holds while it waits.
    pub(super) fn new(backtraces_max: usize) -> (Self, mpsc::Receiver<Vec<FiberInfo>>, Arc<()>) {
        let ((sender, answer), asker) = (mpsc::channel(), Arc::new(()));
        let asked_by = Arc::downgrade(&asker);
        (Self { backtraces_max, answer: sender, asker: asked_by }, answer, asker)
    }

    /// Not if the asker has left.
    pub(super) fn answer(self, inspect: impl FnOnce(usize) -> Vec<FiberInfo>) {
        if self.is_wanted() {
            let _ = self.answer.send(inspect(self.backtraces_max));
        }
    }

    fn is_wanted(&self) -> bool {
        self.asker.strong_count() > 0
    }
}

impl Message {
    /// Whether one of those in `seen` makes this message unnecessary.
    fn is_needed(&self, seen: &mut HashSet<(u8, u64)>) -> bool {
        let (what, whom) = match self {
            Self::Spawn(_) => return true,
            Self::Inspect(question) => return question.is_wanted(),
            Self::Unpark(fiber) => (0, fiber.data().as_ffi()),
            Self::Wake(fiber) => (1, fiber.data().as_ffi()),
            Self::Cancel(fiber) => (2, fiber.data().as_ffi()),
            Self::LookAtEnd(fiber) => (3, fiber.data().as_ffi()),
            Self::Forget(source) => (4, source.data().as_ffi()),
            Self::Maintain => (5, 0),
        };
        seen.insert((what, whom))
    }
}

/// Removes each message that an earlier one makes unnecessary; all of them will be read together.
#[cold]
fn thin_out(messages: &mut Vec<Message>) {
    let mut seen = HashSet::new();
    messages.retain(|message| message.is_needed(&mut seen));
}
