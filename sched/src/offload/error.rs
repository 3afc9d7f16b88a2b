//! Why an offloaded job has no result.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::core::Unwinding;

/// Why [`offload`](super::offload) did not run the job. It has not begun, and never will.
///
/// It converts into an [`io::Error`], so `?` works where those are returned.
///
/// ```
/// use std::io;
/// use straightline_sched::{OffloadConfig, OffloadPool};
///
/// let pool = OffloadPool::new(OffloadConfig::default());
/// pool.close();
/// let error = pool.run(|| ()).unwrap_err();
/// assert!(error.is_closed() && !error.is_full());
/// assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
/// ```
#[derive(Debug)]
pub struct OffloadError {
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    QueueFull,
    Closed,
    Deadlock,
    NoThread(io::Error),
    Unwinding,
}

impl OffloadError {
    /// As many jobs wait for a thread as may wait ([`OffloadConfig::max_queue`]). This is overload:
    /// tell the client to come back later.
    ///
    /// [`OffloadConfig::max_queue`]: super::OffloadConfig::max_queue
    pub fn is_full(&self) -> bool {
        matches!(self.kind, Kind::QueueFull)
    }

    /// The pool was closed or dropped before the job began.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, Kind::Closed)
    }

    /// The caller is a job of the same pool, and would wait for ever: all threads of the pool are
    /// busy with jobs that wait for other jobs of the pool, and the pool may start no more threads.
    pub fn is_deadlock(&self) -> bool {
        matches!(self.kind, Kind::Deadlock)
    }

    /// The system starts no more threads, and the pool has none. The system's error is the
    /// [`source`](std::error::Error::source).
    pub fn is_out_of_threads(&self) -> bool {
        matches!(self.kind, Kind::NoThread(_))
    }

    /// The calling fiber is unwinding and may not wait: a destructor made the call.
    pub fn is_unwinding(&self) -> bool {
        matches!(self.kind, Kind::Unwinding)
    }
}

impl From<Kind> for OffloadError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl From<Unwinding> for OffloadError {
    fn from(_: Unwinding) -> Self {
        Self { kind: Kind::Unwinding }
    }
}

impl fmt::Display for OffloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::QueueFull => {
                "too many jobs wait for a thread of the pool, which has more work than it can do"
            }
            Kind::Closed => "the pool of threads was closed or dropped before the job began",
            Kind::Deadlock => {
                "all threads of the pool are busy with jobs that wait for others of the same pool; \
                 use another pool for those"
            }
            Kind::NoThread(_) => "the system refuses the first thread of the pool",
            Kind::Unwinding => "the caller may not wait for a job",
        })
    }
}

impl std::error::Error for OffloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::NoThread(error) => Some(error),
            Kind::Unwinding => Some(&Unwinding),
            Kind::QueueFull | Kind::Closed | Kind::Deadlock => None,
        }
    }
}

impl From<OffloadError> for io::Error {
    /// A full queue is [`ErrorKind::ResourceBusy`]. It is never `WouldBlock`, at which the callers
    /// of sockets wait and try again.
    fn from(error: OffloadError) -> Self {
        let kind = match &error.kind {
            Kind::QueueFull => ErrorKind::ResourceBusy,
            Kind::Deadlock => ErrorKind::Deadlock,
            Kind::NoThread(_) => ErrorKind::QuotaExceeded,
            Kind::Closed | Kind::Unwinding => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
