//! What the service manager has not got yet: every message in its order, until it has got it.
//!
//! A message is sent at once if the queue of the manager has room. Otherwise it waits here, and a
//! thread sends what waits. The thread tries again for as long as the server lives, because a
//! manager that never hears `READY=1` ends the service. So no message overtakes another one.
//!
//! Of each kind one message waits at most: a later one says all that the earlier one would have
//! said.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::notify_socket::{NotifySocket, SEND_TIME};

/// Hears of the first message that the manager did not get in time, on a thread without fibers.
pub(crate) type OnFailure = dyn Fn(&io::Error) + Send + Sync;

/// Messages on their way to the manager. Dropping it ends the attempts.
#[derive(Debug)]
pub(super) struct Outbox(Arc<Shared>);

struct Shared {
    socket: NotifySocket,
    on_failure: Box<OnFailure>,
    /// How many messages the manager did not get in time.
    failures: AtomicU64,
    waiting: Mutex<Waiting>,
    /// The thread has ended, or no message will follow.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In order; one of each kind at most.
    messages: VecDeque<Message>,
    /// A thread sends the messages.
    has_thread: bool,
    /// The last attempt has failed, and that was reported.
    is_failing: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Message {
    kind: Kind,
    text: String,
    /// The manager has not got it in time, and that was counted.
    is_late: bool,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ready,
    Reloading,
    Stopping,
    Watchdog,
}

impl Outbox {
    pub(super) fn new(socket: NotifySocket, on_failure: Box<OnFailure>) -> Self {
        Self(Arc::new(Shared {
            socket,
            on_failure,
            failures: AtomicU64::new(0),
            waiting: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Sends a message after those that wait. Blocks for no longer than a system call.
    pub(super) fn put(&self, kind: Kind, text: String) {
        let mut waiting = self.0.waiting.lock();
        waiting.put(Message { kind, text, is_late: false });
        self.0.send_or_start(&mut waiting);
    }

    /// Waits until the manager has got everything, for that time at most. Blocks the thread.
    pub(super) fn flush_within(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut waiting = self.0.waiting.lock();
        self.0.send_or_start(&mut waiting);
        while waiting.has_thread {
            if self.0.changed.wait_until(&mut waiting, until).timed_out() {
                return;
            }
        }
    }

    /// How many messages the manager did not get in time.
    pub(super) fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.waiting.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// Sends what there is room for; for the rest a thread is started, unless there is one.
    fn send_or_start(self: &Arc<Self>, waiting: &mut MutexGuard<'_, Waiting>) {
        while !waiting.has_thread
            && let Some(message) = waiting.messages.front()
        {
            if self.socket.try_send(&message.text).is_err() {
                // That thread also reports what fails: the caller may hold locks that the code
                // which hears of it takes.
                let this = Arc::clone(self);
                let thread = thread::Builder::new().name("straightline-notify".into());
                waiting.has_thread = thread.spawn(move || this.send_all()).is_ok();
                return; // if no thread is left, the next message tries again
            }
            waiting.messages.pop_front();
            waiting.is_failing = false;
        }
    }

    /// Sends the messages until none waits.
    fn send_all(&self) {
        let mut waiting = self.waiting.lock();
        while let Some(mut message) = waiting.messages.pop_front() {
            let sent = MutexGuard::unlocked(&mut waiting, || {
                self.socket.send_within(&message.text, SEND_TIME)
            });
            let Err(error) = sent else {
                waiting.is_failing = false;
                continue;
            };
            let was_late = mem::replace(&mut message.is_late, true);
            waiting.put_back(message);
            self.record_failure(&mut waiting, was_late, &error);
            if waiting.is_closed {
                break;
            }
            if error.kind() != ErrorKind::WouldBlock {
                self.changed.wait_for(&mut waiting, RETRY_AFTER);
            }
        }
        waiting.has_thread = false;
        drop(waiting);
        self.changed.notify_all();
    }

    /// The manager did not get a message in time.
    fn record_failure(
        &self,
        waiting: &mut MutexGuard<'_, Waiting>,
        was_late: bool,
        error: &io::Error,
    ) {
        if !was_late {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        if !mem::replace(&mut waiting.is_failing, true) {
            MutexGuard::unlocked(waiting, || (self.on_failure)(error));
        }
    }
}

impl Waiting {
    fn put(&mut self, message: Message) {
        if message.kind == Kind::Watchdog && self.has(Kind::Watchdog) {
            return; // the one that waits keeps its place
        }
        self.messages.retain(|other| other.kind != message.kind);
        self.messages.push_back(message);
    }

    /// A message that could not be sent. If another one of its kind follows, it is not needed.
    fn put_back(&mut self, message: Message) {
        if !self.has(message.kind) {
            self.messages.push_front(message);
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.messages.iter().any(|message| message.kind == kind)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// The pause before another attempt, if the manager is gone. Arbitrary: a manager that starts again
/// needs longer, and a system call a second costs nothing.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(kinds: &[Kind]) -> Waiting {
        let mut waiting = Waiting::default();
        for (number, &kind) in kinds.iter().enumerate() {
            waiting.put(Message { kind, text: number.to_string(), is_late: false });
        }
        waiting
    }

    fn texts(waiting: &Waiting) -> Vec<&str> {
        waiting.messages.iter().map(|message| &*message.text).collect()
    }

    #[test]
    fn the_last_of_each_kind_waits_in_order() {
        use Kind::{Ready, Reloading, Stopping, Watchdog};
        assert_eq!(texts(&waiting(&[Ready, Reloading, Ready])), ["1", "2"]);
        assert_eq!(texts(&waiting(&[Ready, Reloading, Stopping])), ["0", "1", "2"]);
        let many = [Watchdog, Ready, Watchdog, Reloading, Ready, Watchdog, Reloading, Ready];
        assert_eq!(texts(&waiting(&many)), ["0", "6", "7"]);
    }

    #[test]
    fn what_could_not_be_sent_is_first_again_unless_a_later_one_of_its_kind_waits() {
        let late = || Message { kind: Kind::Ready, text: "late".into(), is_late: true };
        let mut before = waiting(&[Kind::Reloading]);
        before.put_back(late());
        assert_eq!(texts(&before), ["late", "0"]);
        let mut replaced = waiting(&[Kind::Reloading, Kind::Ready]);
        replaced.put_back(late());
        assert_eq!(texts(&replaced), ["0", "1"]);
    }
}
