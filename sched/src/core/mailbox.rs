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
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use slotmap::Key;

use super::contain::discard;
use super::counters::{Counters, Stats};
use super::inspect::FiberInfo;
use super::letterbox::Letterbox;
use super::local;
use super::shard::Shard;
use super::source_state::SourceKey;
use crate::driver::Waker;
use crate::fiber::FiberKey;
use crate::watch::Pulse;

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
    pulse: Arc<Pulse>,
}

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

impl Handle {
    /// The handle of the shard that the calling fiber runs on.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// Outside of [`run`](crate::run).
    pub fn current() -> Self {
        local::with(|shard| Self {
            mailbox: Arc::clone(&shard.mailbox),
            counters: Arc::clone(&shard.counters),
            pulse: Arc::clone(&shard.pulse),
        })
    }

    /// The shard's counters; the gauges among them as they were in its last turn.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline_sched::{self as sched, Handle};
    ///
    /// let shard = sched::run(Handle::current)?;
    /// assert_eq!(shard.stats().spawned, 1); // its root; a handle outlives the shard
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.counters.stats(&self.pulse)
    }

    /// Runs `body` as a new fiber of that shard, at the earliest in its next turn.
    ///
    /// The closure crosses threads, hence `Send`; what it makes on the other side need not be.
    /// What it returns comes back through a channel of [`sync`](crate::sync).
    ///
    /// Not a yield point, and does not block the calling thread.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] if the shard has ended, or has not kept up with those sent before; `body` is
    /// then dropped here.
    ///
    /// ```
    /// use straightline_sched::{self as sched, Handle, SpawnError};
    ///
    /// let ended = sched::run(Handle::current)?;
    /// assert_eq!(ended.spawn(|| ()), Err(SpawnError::Closed));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
        let spawned_at = Location::caller();
        let mailbox = &self.mailbox;
        if mailbox.ending.load(Ordering::Relaxed) {
            return Err(SpawnError::Closed);
        }
        if mailbox.sent.fetch_add(1, Ordering::Relaxed) >= mailbox.sent_max {
            mailbox.sent.fetch_sub(1, Ordering::Relaxed);
            return Err(SpawnError::Full);
        }
        let message = Message::Spawn(Sent { body: Box::new(body), spawned_at });
        mailbox.send(message).map_err(|Closed| SpawnError::Closed)
    }
}

impl Handle {
    /// Lists every fiber of the shard, with the backtraces of at most `backtraces_max` parked ones.
    /// For a thread of its own, such as one that waits for a signal: a fiber uses
    /// [`inspect`](crate::inspect).
    ///
    /// # Blocking
    ///
    /// Blocks the calling *thread* until the shard has answered, which it does between two fibers'
    /// turns; not for a fiber of another shard, whose own shard would stand still. Does not wait on
    /// the shard itself.
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
        let asker = Arc::new(());
        let question = Question { backtraces_max, answer: sender, asker: Arc::downgrade(&asker) };
        let closed = |_| io::Error::new(io::ErrorKind::NotConnected, SpawnError::Closed);
        self.mailbox.send(Message::Inspect(question)).map_err(closed)?;
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

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the shard has ended",
            Self::Full => "too many fibers wait to begin on the shard",
        })
    }
}

impl std::error::Error for SpawnError {}

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

impl Question {
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

impl Shard {
    pub(super) fn read_mail(&self, messages: Vec<Message>) {
        self.counters.messages.add(messages.len() as u64);
        for message in messages {
            self.read_message(message);
        }
        let mut deferred = self.deferred.borrow_mut();
        while !deferred.is_empty() {
            // A refused spawn would drop the closure: make sure of a stack before.
            if self.reserve_stack().is_err() {
                self.starved.set(true);
                return;
            }
            if let Some(body) = deferred.pop_front() {
                let spawned = self.spawn_sent(body);
                debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
            }
        }
    }

    pub(super) fn read_message(&self, message: Message) {
        match message {
            Message::Unpark(key) => self.unpark_key(key),
            Message::Wake(key) => self.wake_key(key),
            Message::Cancel(key) => {
                let fiber = self.fibers.borrow().get(key).cloned();
                fiber.into_iter().for_each(|fiber| self.cancel(&fiber));
            }
            Message::LookAtEnd(key) => self.look_at_end(key),
            Message::Forget(source) => self.forget_source(source),
            Message::Housekeep => {
                self.trimming.set(true);
                self.publish_stacks();
                self.tell_circles();
                self.tell_if_stuck();
            }
            Message::Inspect(question) => question.answer(|max| self.inspect_with_backtraces(max)),
            Message::Spawn(sent) => self.deferred.borrow_mut().push_back(sent),
        }
    }

    /// Whether other threads, or shards of a simulation, have asked for something.
    pub(crate) fn has_mail(&self) -> bool {
        self.mailbox.is_pending() || !self.deferred.borrow().is_empty()
    }
}

/// Takes out what an earlier one of them says already; they will all be read together.
#[cold]
fn thin_out(messages: &mut Vec<Message>) {
    let mut said = HashSet::new();
    messages.retain(|message| message.is_needed(&mut said));
}
