//! SIGTERM and SIGINT.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::running::Shared;

/// While it lives, the signals stop the server instead of the process.
#[derive(Debug)]
pub(super) struct StopSignals {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl StopSignals {
    pub(super) fn install(shared: &Arc<Shared>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let handle = signals.handle();
        let shared = Arc::clone(shared);
        let thread =
            thread::Builder::new().name("straightline-signals".into()).spawn(move || {
                for _ in signals.forever() {
                    shared.stop();
                }
            })?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for StopSignals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only forwards; there is nothing in it to panic.
            let _ = thread.join();
        }
    }
}
