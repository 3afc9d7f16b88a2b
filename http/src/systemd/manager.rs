//! The service manager of a server, which hears when the server is ready, reloads, shuts down, and
//! is alive.
//!
//! The fibers of the shards send the messages of the watchdog, and no thread of their own does:
//! each message shows that a scheduler turns. If all threads are stuck, the messages stop, and the
//! manager restarts the process.
//!
//! A message never blocks a shard: what the queue of the manager has no room for waits in an
//! [`Outbox`].

use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::{now, sim};

use super::notify_socket::{NotifySocket, SEND_TIME, message};
use super::notify_state::NotifyState;
use super::outbox::{Kind, OnFailure, Outbox};
use super::watchdog::watchdog_timeout;

/// The service manager of a server.
#[derive(Debug)]
pub(crate) struct Manager {
    outbox: Outbox,
    /// After which time without a message of the watchdog the manager restarts the process.
    watchdog: Option<Duration>,
    /// When the last message of the watchdog was sent. All shards share it, so that there are as
    /// many messages as one shard would send.
    last_beat: Mutex<Option<Instant>>,
    /// Locked while a message of a stage is put, so that the messages are in the order of the
    /// stages.
    stage: Mutex<Stage>,
}

/// What the manager was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Stopping,
}

impl Manager {
    /// `None` if the process has no service manager that listens, and in a simulation. `on_failure`
    /// is called when the manager did not get a message in time, and had got the one before.
    pub(crate) fn from_environment(on_failure: Box<OnFailure>) -> io::Result<Option<Self>> {
        if sim::is_simulated() {
            return Ok(None);
        }
        let Some(socket) = NotifySocket::from_environment()? else { return Ok(None) };
        Ok(Some(Self {
            outbox: Outbox::new(socket, on_failure),
            watchdog: watchdog_timeout()?,
            last_beat: Mutex::new(None),
            stage: Mutex::new(Stage::Starting),
        }))
    }

    /// Tells the manager that the server is ready, unless it knows that.
    pub(crate) fn record_ready(&self, status: &str) {
        let mut stage = self.stage.lock();
        if *stage == Stage::Starting {
            *stage = Stage::Ready;
            self.tell_ready(status);
        }
    }

    /// Tells the manager that a reload begins, if it knows that the server was ready before.
    pub(crate) fn begin_reload(&self) {
        let stage = self.stage.lock();
        if *stage == Stage::Ready {
            self.outbox.put(Kind::Reloading, message(&[NotifyState::Reloading]));
        }
    }

    /// Tells the manager that a reload is over.
    pub(crate) fn end_reload(&self, status: &str) {
        let stage = self.stage.lock();
        if *stage == Stage::Ready {
            self.tell_ready(status);
        }
    }

    fn tell_ready(&self, status: &str) {
        let text = message(&[NotifyState::Ready, NotifyState::Status(status)]);
        self.outbox.put(Kind::Ready, text);
    }

    /// Tells the manager that a shutdown begins, or goes on.
    pub(crate) fn record_stopping(&self, status: &str) {
        let mut stage = self.stage.lock();
        *stage = Stage::Stopping;
        let text = message(&[NotifyState::Stopping, NotifyState::Status(status)]);
        self.outbox.put(Kind::Stopping, text);
    }

    /// How often a shard should call [`beat`](Self::beat); `None` if there is no watchdog.
    pub(crate) fn beat_interval(&self) -> Option<Duration> {
        // A shard may find that another one was here a moment less than an interval ago. So two
        // messages are two intervals apart at most, which is half of the timeout.
        self.watchdog.map(|timeout| timeout / 4)
    }

    /// The calling shard is alive.
    pub(crate) fn beat(&self) {
        let Some(interval) = self.beat_interval() else { return };
        // If another thread is here, it sends the message.
        let Some(mut last) = self.last_beat.try_lock() else { return };
        let now = now();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= interval) {
            *last = Some(now);
            self.outbox.put(Kind::Watchdog, message(&[NotifyState::Watchdog]));
        }
    }

    /// Waits a bounded time until the manager has got everything: the process may end then. Blocks
    /// the thread.
    pub(crate) fn finish(&self) {
        self.outbox.flush_within(SEND_TIME);
    }

    /// How many messages the manager did not get in time.
    pub(crate) fn failures(&self) -> u64 {
        self.outbox.failures()
    }
}
