//! The seam between the scheduler and the world: readiness of descriptors, and time.
//!
//! Everything that a shard learns from outside its own thread's memory comes through a `Driver`:
//! which descriptors became ready, what time it is, and that another thread wants its attention.
//! There is one per operating-system mechanism, with the same private interface:
//!
//! - `epoll` (Linux): direct system calls, one per wait;
//! - `portable` (elsewhere): the `polling` crate. `--cfg straightline_portable_driver` selects it
//!   on Linux too, so that the tests cover it.
//!
//! Readiness is *edge-triggered*: a descriptor is registered once, for as long as it lives, and an
//! event says that something changed since the last one. The rule for callers is the usual one:
//! try the operation until it would block (or, on a TCP socket, until a read comes back short),
//! and only then wait. That saves the re-arming system call that a oneshot registration needs at
//! each park; [`Readiness::read_closed`] is what makes the short-read rule safe, because an end of
//! stream that arrived together with the last bytes raises no further edge.

#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod bell;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod clock;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod epoll;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
pub(crate) use epoll::{Driver, Waker};

#[cfg(any(not(target_os = "linux"), straightline_portable_driver))]
mod portable;
#[cfg(any(not(target_os = "linux"), straightline_portable_driver))]
pub(crate) use portable::{Driver, Waker};

/// Whether a read of a TCP stream that returned less than asked for proves that nothing is left.
///
/// Only where events also report the end of stream: one that came with the last bytes is no edge.
pub const SHORT_READ_DRAINS: bool =
    cfg!(all(target_os = "linux", not(straightline_portable_driver)));

/// The key that no source may have: it means "another thread rang".
const WAKER_KEY: u64 = u64::MAX;

/// How many events one wait takes at most; more wait for the next turn.
const EVENTS_MAX: usize = 256;

/// The direction that a fiber waits for, see [`Source`](crate::Source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the peer's end of stream, or an error.
    Read,
    /// Room to write, or an error.
    Write,
}

/// The directions that a descriptor is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interests {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// One edge: what a descriptor became ready for.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // the flags of an event, in any combination
pub(crate) struct Readiness {
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more; this never becomes false again.
    pub(crate) read_closed: bool,
    /// TCP urgent data came: from now on a read may come back short before it.
    pub(crate) urgent: bool,
}

impl Interests {
    pub(crate) const NONE: Self = Self { read: false, write: false };

    pub(crate) fn with(self, interest: Interest) -> Self {
        match interest {
            Interest::Read => Self { read: true, ..self },
            Interest::Write => Self { write: true, ..self },
        }
    }
}
