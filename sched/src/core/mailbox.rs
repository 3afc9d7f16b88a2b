//! What other threads may ask of a shard: run a new fiber, wake one.
//!
//! This is the only door into a shard from outside its thread. A message is put into the letterbox
//! and the driver's waker rung; the shard empties the box once a turn.
//!
//! **Bounds.** A shard whose fiber keeps the thread reads nothing, and may be sent to all the same.
//! Fibers have a limit of their own. Of everything else one message of a kind and for a fiber is
//! as good as two, and a question whose asker is gone needs no answer: as the box grows, those are
//! taken out again. So it never has many more messages than there are fibers to wake.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};

use slotmap::Key;

use super::contain::discard;
use super::fiber_info::FiberInfo;
use super::letterbox::Letterbox;
use super::source_state::SourceKey;
use crate::driver::Waker;
use crate::fiber::FiberKey;

/// Why a shard does not take a fiber from another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// It has ended, or is about to.
    Closed,
    /// As many as [`Config::sent_fibers_max`](crate::Config::sent_fibers_max) allows wait to begin
    /// there.
    Full,
}

pub(crate) struct Mailbox {
    letters: Letterbox<Message>,
    /// Fibers that were sent and have not begun; at most `sent_max`, give or take those that are
    /// being sent right now.
    sent: AtomicUsize,
    sent_max: usize,
    /// No new fibers: the shard is ending those that it has.
    ending: AtomicBool,
    waker: Waker,
}

/// The mailbox takes nothing any more.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) enum Message {
    Spawn(Sent),
    Unpark(FiberKey),
    Wake(FiberKey),
    /// Of another shard of the simulation: cancel that fiber.
    Cancel(FiberKey),
    /// Of another shard of the simulation: the lease of that fiber has ended.
    LookAtEnd(FiberKey),
    /// Of another shard of the simulation: that source was dropped.
    Forget(SourceKey),
    Inspect(Question),
    /// Do what is to be done now and then.
    Housekeep,
}

/// Which fibers there are, with so many backtraces.
pub(crate) struct Question {
    backtraces_max: usize,
    answer: mpsc::Sender<Vec<FiberInfo>>,
    /// Gone when the asker waits no more.
    asker: Weak<()>,
}

/// A fiber that another thread wants to be run.
pub(crate) struct Sent {
    pub(crate) body: Box<dyn FnOnce() + Send>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker, sent_max: usize) -> Self {
        let (sent, ending) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { letters: Letterbox::new(), sent, sent_max, ending, waker }
    }

    /// The mailbox of a shard that has ended.
    pub(super) fn closed() -> Arc<Self> {
        let mailbox = Self::new(Waker::of_nobody(), 0);
        mailbox.ending.store(true, Ordering::Relaxed);
        mailbox.close();
        Arc::new(mailbox)
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), Closed> {
        self.letters.push(message, thin_out).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }

    /// Sends a fiber, which is made if it is taken.
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

    /// Whether there may be something to take.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.letters.is_pending()
    }

    /// What has come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Message> {
        self.letters.take()
    }

    /// A fiber that was sent is about to begin.
    pub(crate) fn sent_begins(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    /// From now on no fiber can be sent; what had come before is returned. One that was being sent
    /// meanwhile may still come.
    pub(crate) fn close_to_spawns(&self) -> Vec<Message> {
        self.ending.store(true, Ordering::Relaxed);
        self.take()
    }

    /// From now on every send fails. What had come is dropped: wake-ups of fibers that are over,
    /// and whatever was being sent while the shard ended.
    pub(crate) fn close(&self) {
        self.letters.close().into_iter().for_each(discard);
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the shard has ended",
            Self::Full => "too many fibers wait to begin on the shard",
        })
    }
}

impl std::error::Error for SpawnError {}

impl Question {
    /// The question, where its answer comes, and what its asker keeps for as long as it waits.
    pub(super) fn new(backtraces_max: usize) -> (Self, mpsc::Receiver<Vec<FiberInfo>>, Arc<()>) {
        let ((sender, answer), asker) = (mpsc::channel(), Arc::new(()));
        let asked_by = Arc::downgrade(&asker);
        (Self { backtraces_max, answer: sender, asker: asked_by }, answer, asker)
    }

    /// Not if the asker is gone by now.
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
    /// Whether it says nothing that one of those in `said` does not.
    fn is_needed(&self, said: &mut HashSet<(u8, u64)>) -> bool {
        let (what, whom) = match self {
            Self::Spawn(_) => return true,
            Self::Inspect(question) => return question.is_wanted(),
            Self::Unpark(fiber) => (0, fiber.data().as_ffi()),
            Self::Wake(fiber) => (1, fiber.data().as_ffi()),
            Self::Cancel(fiber) => (2, fiber.data().as_ffi()),
            Self::LookAtEnd(fiber) => (3, fiber.data().as_ffi()),
            Self::Forget(source) => (4, source.data().as_ffi()),
            Self::Housekeep => (5, 0),
        };
        said.insert((what, whom))
    }
}

/// Takes out what an earlier one of them says already; they will all be read together.
#[cold]
fn thin_out(messages: &mut Vec<Message>) {
    let mut said = HashSet::new();
    messages.retain(|message| message.is_needed(&mut said));
}
