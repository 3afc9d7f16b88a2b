//! The lines of the access log on their way out.
//!
//! A shard never waits for them: it hands each to a thread that writes, and where that falls behind
//! by many lines, further ones are left out and counted.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use parking_lot::Mutex;
use straightline_sched::sim;

use crate::telemetry::{AccessLogFormat, Entry};

/// A log with a line for each request.
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    out: Out,
    dropped: AtomicU64,
}

enum Out {
    Thread(SyncSender<String>, Mutex<Option<thread::JoinHandle<()>>>),
    /// In a simulation, where a thread would have a time of its own.
    Here(Mutex<Box<dyn Write + Send>>),
}

impl AccessLog {
    pub(super) fn start(
        format: AccessLogFormat,
        writer: Box<dyn Write + Send>,
    ) -> io::Result<Arc<Self>> {
        let out = if sim::is_simulated() {
            Out::Here(Mutex::new(writer))
        } else {
            let (sender, lines) = sync_channel(LINES_MAX);
            let thread = thread::Builder::new().name("straightline-log".into());
            let thread = thread.spawn(move || write_lines(&lines, BufWriter::new(writer)))?;
            Out::Thread(sender, Mutex::new(Some(thread)))
        };
        Ok(Arc::new(Self { format, out, dropped: AtomicU64::new(0) }))
    }

    pub(crate) fn note(&self, entry: &Entry<'_>) {
        let line = self.format.line(entry);
        let is_taken = match &self.out {
            Out::Thread(sender, _) => sender.try_send(line).is_ok(),
            Out::Here(writer) => writer.lock().write_all(line.as_bytes()).is_ok(),
        };
        if !is_taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were left out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written.
    pub(super) fn finish(&self) {
        if let Out::Thread(sender, thread) = &self.out {
            // An empty line is the last one.
            let _ = sender.send(String::new());
            if let Some(thread) = thread.lock().take() {
                // It has nothing in it to panic, but for the writer, whose panic was printed.
                let _ = thread.join();
            }
        }
    }
}

/// Writes lines until there are no more; what is there already leaves together.
fn write_lines(lines: &Receiver<String>, mut writer: BufWriter<Box<dyn Write + Send>>) {
    while let Ok(first) = lines.recv() {
        let mut next = Ok(first);
        loop {
            match next {
                Ok(line) if line.is_empty() => {
                    let _ = writer.flush();
                    return;
                }
                // A disk that is full is no reason to stop the service; later lines may fit.
                Ok(line) => drop(writer.write_all(line.as_bytes())),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            next = lines.try_recv();
        }
        let _ = writer.flush();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How many lines may wait to be written: a second or so of a busy server, some megabytes.
const LINES_MAX: usize = 16 * 1024;
