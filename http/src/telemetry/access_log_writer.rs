//! The access log's queue and its writer thread.
//!
//! A shard never waits for the log: each line goes into a queue with a bounded number of bytes, and
//! a thread writes the lines from the queue. If that thread falls behind, further lines are left
//! out and counted. Lines that cannot be written are counted too.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use straightline_sched::{QueuedWriter, sim};

use super::access_log::{AccessLogFormat, Entry};
use super::finished_request::FinishedRequest;

/// A log with a line for each request.
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    out: Out,
}

enum Out {
    Queue(QueuedWriter),
    /// For a simulation, in which a thread would have a clock of its own: the writer, and how many
    /// lines failed. The writer may wait on its fiber; lines of other fibers are left out
    /// meanwhile.
    Direct(Mutex<Box<dyn Write + Send>>, AtomicU64),
}

impl AccessLog {
    pub(crate) fn start(
        format: AccessLogFormat,
        writer: Box<dyn Write + Send>,
        bytes_max: usize,
    ) -> io::Result<Arc<Self>> {
        let out = if sim::is_simulated() {
            Out::Direct(Mutex::new(writer), AtomicU64::new(0))
        } else {
            Out::Queue(QueuedWriter::new(writer, bytes_max)?)
        };
        Ok(Arc::new(Self { format, out }))
    }

    pub(crate) fn write(&self, request: &FinishedRequest<'_>) {
        let (peer, client) = (request.peer.to_string(), request.peer.host());
        let line = self.format.line(&Entry::of(request, &peer, &client));
        match &self.out {
            Out::Queue(queue) => {
                queue.put(line);
            }
            Out::Direct(writer, failed) => {
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
            Out::Direct(_, failed) => failed.load(Ordering::Relaxed),
        }
    }

    /// Waits a bounded time for all lines to be written: the reader of the log may have stopped.
    pub(crate) fn finish(&self) {
        if let Out::Queue(queue) = &self.out {
            // Lines that are not written by then are lost when the process ends.
            queue.flush_within(FINISH_TIME);
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How long a shutdown waits for the last lines. Arbitrary: a disk writes a full queue in a
/// fraction of that.
const FINISH_TIME: Duration = Duration::from_secs(2);
