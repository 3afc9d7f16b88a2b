//! The service manager of a server, which hears when the server is ready, reloads, shuts down, and
//! is alive.
//!
//! The fibers of the shards send the messages of the watchdog, and no thread of their own does:
//! each message shows that a scheduler turns. If all threads are stuck, the messages stop, and the
//! manager restarts the process.
//!
//! A message never blocks a shard. If the queue of the manager is full, a thread of its own waits
//! for room. A message of the watchdog is left out then, because the next one follows soon.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::{now, sim};

use super::notify_socket::{NotifySocket, SEND_TIME, message};
use super::notify_state::NotifyState;
use super::watchdog::watchdog_timeout;

/// The service manager of a server.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: NotifySocket,
    /// After which time without a message of the watchdog the manager restarts the process.
    watchdog: Option<Duration>,
    /// When the last message of the watchdog was sent. All shards share it, so that there are as
    /// many messages as one shard would send.
    last_beat: Mutex<Option<Instant>>,
    /// The manager knows that the server is ready.
    is_ready: AtomicBool,
    /// The last message could not be sent.
    is_failing: AtomicBool,
}

impl Manager {
    /// `None` if the process has no service manager that listens, and in a simulation.
    pub(crate) fn from_environment() -> io::Result<Option<Self>> {
        if sim::is_simulated() {
            return Ok(None);
        }
        let Some(socket) = NotifySocket::from_environment()? else { return Ok(None) };
        Ok(Some(Self {
            socket,
            watchdog: watchdog_timeout()?,
            last_beat: Mutex::new(None),
            is_ready: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }))
    }

    /// Tells the manager that the server is ready, unless it knows that.
    pub(crate) fn record_ready(&self, status: &str) -> Result<(), ManagerFailure> {
        if self.is_ready.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)])
    }

    /// Tells the manager that a reload begins, if it knows that the server was ready before.
    pub(crate) fn begin_reload(&self) -> Result<(), ManagerFailure> {
        if !self.is_ready.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.tell(&[NotifyState::Reloading])
    }

    /// Tells the manager that a reload is over.
    pub(crate) fn end_reload(&self, status: &str) -> Result<(), ManagerFailure> {
        if !self.is_ready.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)])
    }

    /// Tells the manager something. A failure is returned only if the message before was sent.
    pub(crate) fn tell(&self, states: &[NotifyState<'_>]) -> Result<(), ManagerFailure> {
        let text = message(states);
        let sent = match self.socket.try_send(&text) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let socket = self.socket.clone();
                let wait = move || drop(socket.send_within(&text, SEND_TIME));
                thread::Builder::new().name("straightline-notify".into()).spawn(wait).map(drop)
            }
            sent => sent,
        };
        self.judge(sent)
    }

    /// How often a shard should call [`beat`](Self::beat); `None` if there is no watchdog.
    pub(crate) fn beat_interval(&self) -> Option<Duration> {
        // A shard may find that another one was here a moment less than an interval ago. So two
        // messages are two intervals apart at most, which is half of the timeout.
        self.watchdog.map(|timeout| timeout / 4)
    }

    /// The calling shard is alive.
    pub(crate) fn beat(&self) -> Result<(), ManagerFailure> {
        let Some(interval) = self.beat_interval() else { return Ok(()) };
        // If another thread is here, it sends the message.
        let Some(mut last) = self.last_beat.try_lock() else { return Ok(()) };
        let now = now();
        if last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            return Ok(());
        }
        let sent = self.socket.try_send(&message(&[NotifyState::Watchdog]));
        if sent.is_ok() {
            *last = Some(now);
        }
        drop(last);
        self.judge(sent)
    }

    fn judge(&self, sent: io::Result<()>) -> Result<(), ManagerFailure> {
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::SeqCst);
        sent.or_else(|error| if was_failing { Ok(()) } else { Err(ManagerFailure(error)) })
    }
}

/// The manager did not get a message, and had got the one before.
#[derive(Debug)]
pub(crate) struct ManagerFailure(pub(crate) io::Error);
