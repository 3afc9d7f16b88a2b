//! Waiting, on a fiber, for a signal to stop.
//!
//! A [`Server`](crate::Server) has this built in; this is for programs with an accept loop of their
//! own.

use std::io::{self, Read};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{pipe, unregister};
use straightline_net::UnixStream;
use straightline_sched::unblock_signals;

/// SIGTERM and SIGINT, as something to wait for. While it lives, these signals do not end the
/// process. SIGHUP, which asks a program to read its settings again, does not end it either: a
/// program that has settings handles SIGHUP by itself.
///
/// ```
/// use straightline::{ShutdownSignal, sched};
///
/// sched::run(|| {
///     let stop = ShutdownSignal::install()?;
///     let server = sched::spawn(sched::park); // a loop that accepts, say
/// #   rustix_kill_self();
///     stop.wait()?;
///     server.cancel();
///     std::io::Result::Ok(())
/// })?;
/// # fn rustix_kill_self() {
/// #     let me = std::process::id().to_string();
/// #     std::process::Command::new("kill").args(["-TERM", &me]).status().unwrap();
/// # }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ShutdownSignal {
    /// One byte arrives for each signal.
    signals: UnixStream,
    registered: [SigId; 3],
}

impl ShutdownSignal {
    /// Takes the signals over, even if the process was started with them blocked: they are then
    /// unblocked for the calling thread.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// When the system refuses the pair of sockets or the handlers.
    pub fn install() -> io::Result<Self> {
        let (signals, sender) = StdStream::pair()?;
        let registered = [
            pipe::register(SIGTERM, sender.try_clone()?)?,
            pipe::register(SIGINT, sender)?,
            // The handler does nothing: it only replaces the default, which ends the process.
            flag::register(SIGHUP, Arc::default())?,
        ];
        unblock_signals(&[SIGTERM, SIGINT, SIGHUP])?;
        Ok(Self { signals: UnixStream::from_std(signals)?, registered })
    }

    /// Waits for one of the signals; each call waits for the next one.
    ///
    /// # Blocking
    ///
    /// A yield point: other fibers run until a signal comes.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding; a signal that comes later is kept for the
    /// next call.
    ///
    /// # Errors
    ///
    /// When the fiber is unwinding and may not wait.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    pub fn wait(&self) -> io::Result<()> {
        (&self.signals).read_exact(&mut [0])
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        for id in self.registered {
            unregister(id);
        }
    }
}
