//! SIGTERM and SIGINT stop the server, SIGUSR1 and SIGQUIT list what it is doing.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use straightline_sched::sim;

use super::shared::Shared;

/// While it lives, the signals are the server's instead of the process's.
#[derive(Debug)]
pub(super) struct SignalThread {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl SignalThread {
    /// Handles those signals that are asked for; `None` if that is none.
    pub(super) fn install(
        shared: &Arc<Shared>,
        stop: bool,
        list: bool,
    ) -> io::Result<Option<Self>> {
        let mut handled = Vec::new();
        if stop {
            handled.extend([SIGTERM, SIGINT]);
        }
        if list {
            handled.extend([SIGUSR1, SIGQUIT]);
        }
        if handled.is_empty() {
            return Ok(None);
        }
        if sim::is_simulated() {
            let message = "signals are not simulated: stop the server by its handle";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let mut signals = Signals::new(handled)?;
        let handle = signals.handle();
        let shared = Arc::clone(shared);
        let thread =
            thread::Builder::new().name("straightline-signals".into()).spawn(move || {
                for signal in signals.forever() {
                    match signal {
                        SIGUSR1 | SIGQUIT => list_fibers(&shared),
                        _ => shared.shutdown(),
                    }
                }
            })?;
        Ok(Some(Self { handle, thread: Some(thread) }))
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only forwards; there is nothing in it to panic.
            let _ = thread.join();
        }
    }
}

/// Writes what every shard is doing to standard error.
fn list_fibers(shared: &Shared) {
    let mut text = String::new();
    for (index, fibers) in shared.inspect(BACKTRACES_MAX, ANSWER_TIMEOUT).into_iter().enumerate() {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = match fibers {
            Ok(fibers) => {
                let _ = writeln!(text, "== shard {index}: {} fibers", fibers.len());
                fibers.iter().try_for_each(|fiber| writeln!(text, "{fiber}"))
            }
            Err(error) => writeln!(text, "== shard {index}: {error}"),
        };
    }
    // A standard error that is closed is nobody's loss.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Each takes 15 µs of its shard's time.
const BACKTRACES_MAX: usize = 64;

/// A shard that does not answer by then has a fiber that keeps its thread.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
