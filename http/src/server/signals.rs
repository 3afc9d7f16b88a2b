//! SIGTERM and SIGINT shut the server down, SIGHUP reloads, SIGUSR1 and SIGQUIT list the fibers.
//!
//! One thread receives the signals and does nothing else: neither the reader of a listing nor a
//! reload can delay a shutdown. Listings and reloads run on threads of their own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use straightline_sched::{sim, stderr, unblock_signals};

use crate::config::Phase;
use crate::control::{BACKTRACES_MAX, Shared, listing};
use crate::systemd::Manager;
use crate::telemetry::Event;

/// Which signals the server handles.
#[derive(Clone, Default)]
pub(super) struct Handled {
    pub(super) stop: bool,
    pub(super) list: bool,
    pub(super) reload: Option<Arc<Reload>>,
}

/// The program's reload code for SIGHUP.
pub(super) type Reload = dyn Fn() -> io::Result<()> + Send + Sync;

/// While it lives, the server handles the signals instead of the process's defaults.
#[derive(Debug)]
pub(super) struct SignalThread {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl SignalThread {
    /// Handles the signals that are asked for; `None` if there are none.
    pub(super) fn install(shared: &Arc<Shared>, handled: Handled) -> io::Result<Option<Self>> {
        let numbers = handled.numbers();
        if numbers.is_empty() {
            return Ok(None);
        }
        if sim::is_simulated() {
            let message = "signals are not simulated: shut the server down by its handle";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let mut signals = Signals::new(&numbers)?;
        let handle = signals.handle();
        let shared = Arc::clone(shared);
        let listing = SignalTask::new("straightline-listing", {
            let shared = Arc::clone(&shared);
            move || list_fibers(&shared)
        });
        let reloading = SignalTask::new("straightline-reload", {
            let shared = Arc::clone(&shared);
            move || {
                // Once a shutdown has begun, the manager expects nothing else.
                if shared.phase() == Phase::Serving {
                    shared.tell_manager(Manager::begin_reload);
                }
                reload(&shared, handled.reload.as_deref());
                if shared.phase() == Phase::Serving {
                    shared.tell_manager(|manager| manager.end_reload(&shared.status()));
                }
            }
        });
        let thread =
            thread::Builder::new().name("straightline-signals".into()).spawn(move || {
                // The parent process may have blocked these signals. They are valid numbers, so
                // this does not fail.
                let _ = unblock_signals(&numbers);
                let mut wish = WishToStop::default();
                for signal in signals.forever() {
                    match signal {
                        SIGUSR1 | SIGQUIT => listing.run(),
                        SIGHUP => reloading.run(),
                        // Of a shutdown that was begun otherwise it is no repetition.
                        _ => match wish.signal(Instant::now()) {
                            Stop::Begin => shared.begin_shutdown(),
                            Stop::Same => {}
                            Stop::AtOnce => shared.shutdown(),
                        },
                    }
                }
            })?;
        Ok(Some(Self { handle, thread: Some(thread) }))
    }
}

impl Handled {
    fn numbers(&self) -> Vec<i32> {
        let mut numbers = Vec::new();
        if self.stop {
            numbers.extend([SIGTERM, SIGINT]);
        }
        if self.stop || self.reload.is_some() {
            numbers.push(SIGHUP);
        }
        if self.list {
            numbers.extend([SIGUSR1, SIGQUIT]);
        }
        numbers
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread only forwards signals; it has no reason to panic.
            let _ = thread.join();
        }
    }
}

/// What SIGTERM and SIGINT have asked for.
#[derive(Default)]
struct WishToStop {
    since: Option<Instant>,
}

/// What one of these signals asks for.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Begin,
    /// No more than the signal before it.
    Same,
    AtOnce,
}

impl WishToStop {
    /// A signal has come.
    fn signal(&mut self, now: Instant) -> Stop {
        match self.since {
            None => {
                self.since = Some(now);
                Stop::Begin
            }
            Some(since) if now.saturating_duration_since(since) < SAME_SIGNAL_TIME => Stop::Same,
            Some(_) => Stop::AtOnce,
        }
    }
}

/// Work that a signal requests and that may take long: on a thread of its own, one run at a time.
struct SignalTask {
    name: &'static str,
    work: Box<dyn Fn() + Send + Sync>,
    /// How many requests came since the task was last idle.
    requests: AtomicU64,
}

impl SignalTask {
    fn new(name: &'static str, work: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { name, work: Box::new(work), requests: AtomicU64::new(0) })
    }

    /// Does the work. If it is running, it runs once more afterwards, however many requests came:
    /// what the first run has read may have changed since.
    fn run(self: &Arc<Self>) {
        if self.requests.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let this = Arc::clone(self);
        let started =
            thread::Builder::new().name(self.name.into()).spawn(move || this.run_requested());
        if started.is_err() {
            // No threads are left, and this thread has little else to do.
            self.run_requested();
        }
    }

    fn run_requested(&self) {
        loop {
            let seen = self.requests.load(Ordering::SeqCst);
            // The panic hook has printed the panic, and the next run may succeed.
            let _ = catch_unwind(AssertUnwindSafe(&self.work));
            if self.requests.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
        }
    }
}

/// The certificates, and then what the program has: neither depends on the outcome of the other.
fn reload(shared: &Shared, reload: Option<&Reload>) {
    #[cfg(feature = "_tls")]
    {
        // The outcome is an event.
        let _ = shared.reload_tls();
    }
    if reload.is_none() && shared.is_secure() {
        return; // something was reloaded, and that is reported
    }
    let outcome = reload.map(|reload| {
        catch_unwind(AssertUnwindSafe(reload))
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    });
    let outcome = outcome.as_ref().map(|outcome| outcome.as_ref().copied());
    shared.observers.emit(&Event::Reloaded { outcome });
}

/// Writes a list of all fibers of every shard to standard error.
fn list_fibers(shared: &Shared) {
    let text = listing(&shared.shards.inspect(BACKTRACES_MAX, ANSWER_TIMEOUT));
    let mut rest = &text[..];
    while let Some(end) = rest.find('\n') {
        let (line, behind) = rest.split_at(end + 1);
        if !stderr().put_patiently(line, LINE_TIME) {
            // No program reads the output: the other lines are dropped as well, and counted.
            stderr().put(behind);
            return;
        }
        rest = behind;
    }
}

/// A second signal that comes within this time is the same wish to stop: `timeout` signals a
/// process and then its group. Arbitrary: a person who presses a key twice takes longer.
const SAME_SIGNAL_TIME: Duration = Duration::from_millis(200);

/// A shard that does not answer within this time has a fiber that keeps its thread.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a listing waits for room for its next line. Arbitrary: a reader that reads nothing for
/// so long has stopped.
const LINE_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_right_behind_the_first_says_the_same() {
        let (mut wish, start) = (WishToStop::default(), Instant::now());
        assert_eq!(wish.signal(start), Stop::Begin);
        assert_eq!(wish.signal(start), Stop::Same);
        assert_eq!(wish.signal(start + SAME_SIGNAL_TIME / 2), Stop::Same);
        assert_eq!(wish.signal(start + SAME_SIGNAL_TIME), Stop::AtOnce);
        assert_eq!(wish.signal(start + SAME_SIGNAL_TIME), Stop::AtOnce);
    }
}
