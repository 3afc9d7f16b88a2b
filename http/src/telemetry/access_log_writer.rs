//! The access log's way out.
//!
//! A shard never waits for it: each line goes into a queue of a bounded number of bytes, and a
//! thread writes from there. If that thread falls behind, further lines are left out and counted.
//! So are lines that cannot be written.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use straightline_sched::{QueuedWriter, sim};

use super::access_log::{AccessLogFormat, Entry};

/// A log with a line for each request.
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    out: Out,
}

enum Out {
    Queue(QueuedWriter),
    /// In a simulation, where a thread would have a time of its own; and how many lines failed. The
    /// writer may wait on its fiber; lines of other fibers are left out meanwhile.
    Here(Mutex<Box<dyn Write + Send>>, AtomicU64),
}

impl AccessLog {
    pub(crate) fn start(
        format: AccessLogFormat,
        writer: Box<dyn Write + Send>,
        bytes_max: usize,
    ) -> io::Result<Arc<Self>> {
        let out = if sim::is_simulated() {
            Out::Here(Mutex::new(writer), AtomicU64::new(0))
        } else {
            Out::Queue(QueuedWriter::new(writer, bytes_max)?)
        };
        Ok(Arc::new(Self { format, out }))
    }

    pub(crate) fn note(&self, entry: &Entry<'_>) {
        let line = self.format.line(entry);
        match &self.out {
            Out::Queue(queue) => {
                queue.put(line);
            }
            Out::Here(writer, failed) => {
                let writer = writer.try_lock();
                if writer.is_none_or(|mut writer| writer.write_all(line.as_bytes()).is_err()) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// How many lines were left out.
    pub(crate) fn dropped(&self) -> u64 {
        match &self.out {
            Out::Queue(queue) => queue.dropped(),
            Out::Here(_, failed) => failed.load(Ordering::Relaxed),
        }
    }

    /// Waits until all lines are written, but not for long: the reader of the log may have stopped.
    pub(crate) fn finish(&self) {
        if let Out::Queue(queue) = &self.out {
            // Lines that are not written by then are lost with the process.
            queue.flush_within(FINISH_TIME);
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How long the end of a server may take for its last lines. Arbitrary: a disk writes a full queue
/// in a fraction of that.
const FINISH_TIME: Duration = Duration::from_secs(2);
