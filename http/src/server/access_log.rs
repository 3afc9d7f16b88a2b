//! The lines of the access log on their way out.
//!
//! A shard never waits for them: it hands each to a thread that writes, and where that falls behind
//! by many lines, further ones are left out and counted. So are those that cannot be written.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::sim;

use crate::telemetry::{AccessLogFormat, Entry};

/// A log with a line for each request.
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    out: Out,
    dropped: Arc<AtomicU64>,
}

enum Out {
    Thread(SyncSender<String>, Mutex<Option<Writing>>),
    /// In a simulation, where a thread would have a time of its own. The writer may wait on its
    /// fiber; what others have to say meanwhile is left out.
    Here(Mutex<Box<dyn Write + Send>>),
}

/// The thread that writes.
struct Writing {
    thread: thread::JoinHandle<()>,
    /// Nothing ever comes of it but its end.
    end: Receiver<()>,
}

impl AccessLog {
    pub(super) fn start(
        format: AccessLogFormat,
        writer: Box<dyn Write + Send>,
    ) -> io::Result<Arc<Self>> {
        let dropped = Arc::new(AtomicU64::new(0));
        let out = if sim::is_simulated() {
            Out::Here(Mutex::new(writer))
        } else {
            let ((sender, lines), (ends, end)) = (sync_channel(LINES_MAX), sync_channel(0));
            let (thread, lost) = (thread::Builder::new(), Arc::clone(&dropped));
            let thread = thread.name("straightline-log".into()).spawn(move || {
                let _ends: SyncSender<()> = ends;
                write_lines(&lines, writer, &lost);
            })?;
            Out::Thread(sender, Mutex::new(Some(Writing { thread, end })))
        };
        Ok(Arc::new(Self { format, out, dropped }))
    }

    pub(crate) fn note(&self, entry: &Entry<'_>) {
        let line = self.format.line(entry);
        let is_taken = match &self.out {
            Out::Thread(sender, _) => sender.try_send(line).is_ok(),
            Out::Here(writer) => {
                let writer = writer.try_lock();
                writer.is_some_and(|mut writer| writer.write_all(line.as_bytes()).is_ok())
            }
        };
        if !is_taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were left out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, unless that takes too long: whoever reads them may have
    /// stopped doing so.
    pub(super) fn finish(&self) {
        let Out::Thread(sender, writing) = &self.out else { return };
        let Some(Writing { thread, end }) = writing.lock().take() else { return };
        let until = Instant::now() + FINISH_TIME;
        // An empty line is the last one.
        while let Err(TrySendError::Full(_)) = sender.try_send(String::new()) {
            if Instant::now() >= until {
                return;
            }
            thread::sleep(FINISH_TIME / 100);
        }
        let left = until.saturating_duration_since(Instant::now());
        if end.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
            // It has nothing in it to panic, but for the writer, whose panic was printed.
            let _ = thread.join();
        }
    }
}

/// Writes lines until there are no more; what is there already leaves together.
fn write_lines(lines: &Receiver<String>, mut writer: Box<dyn Write + Send>, lost: &AtomicU64) {
    let (mut batch, mut is_over) = (Vec::new(), false);
    while !is_over {
        let (mut next, mut count) = (lines.recv().ok(), 0);
        is_over = next.is_none();
        while let Some(line) = next {
            if line.is_empty() {
                is_over = true;
                break;
            }
            batch.extend_from_slice(line.as_bytes());
            count += 1;
            next = if batch.len() < BATCH_BYTES { lines.try_recv().ok() } else { None };
        }
        // A disk that is full is no reason to stop the service; later lines may fit.
        if writer.write_all(&batch).and_then(|()| writer.flush()).is_err() {
            lost.fetch_add(count, Ordering::Relaxed);
        }
        batch.clear();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How many lines may wait to be written: a second or so of a busy server, some megabytes.
const LINES_MAX: usize = 16 * 1024;

/// What is written at once, but for a last line. Arbitrary: system calls hardly count at this size.
const BATCH_BYTES: usize = 64 * 1024;

/// How long the end of a server may take for its last lines. Arbitrary: a disk writes all that may
/// be waiting in a fraction of it.
const FINISH_TIME: Duration = Duration::from_secs(2);
