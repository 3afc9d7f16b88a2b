//! The words that the scheduler and its drivers share: what is asked for, and what is reported.

/// How much a wait has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing was ready, and the timeout had passed.
    Nothing,
    /// Everything that was ready.
    All,
    /// As much as one wait takes, or nothing because it was interrupted: there may be more.
    Part,
}

/// The direction that a fiber waits for, see [`Source`](crate::Source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the peer's end of stream, or an error.
    Read,
    /// Room to write, or an error.
    Write,
}

/// The directions in which the driver is to report a descriptor, in any combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interests {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// An event: what a descriptor became ready for.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // the flags of an event, in any combination
pub(crate) struct Readiness {
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more; this never becomes false again.
    pub(crate) read_closed: bool,
    /// TCP urgent data came: from now on a read may come back short in front of it. Reported by
    /// drivers with edges only; see [`disarmed`](Self::disarmed).
    pub(crate) urgent: bool,
    /// The driver reports nothing more of the descriptor until it is armed again, and then checks
    /// what it is ready for.
    pub(crate) disarmed: bool,
}

impl Readiness {
    /// Something has come to be read, and the descriptor stays armed.
    #[inline]
    pub(super) fn readable(key: u64) -> Self {
        Self {
            key,
            readable: true,
            writable: false,
            read_closed: false,
            urgent: false,
            disarmed: false,
        }
    }
}

impl Interests {
    pub(crate) const NONE: Self = Self { read: false, write: false };

    pub(crate) const BOTH: Self = Self { read: true, write: true };

    #[inline]
    pub(crate) fn has(self, interest: Interest) -> bool {
        match interest {
            Interest::Read => self.read,
            Interest::Write => self.write,
        }
    }

    #[inline]
    pub(crate) fn with(self, interest: Interest) -> Self {
        match interest {
            Interest::Read => Self { read: true, ..self },
            Interest::Write => Self { write: true, ..self },
        }
    }
}

/// The key that no source may have: it means a notification by another thread.
pub(super) const WAKER_KEY: u64 = u64::MAX;

/// How many events one wait takes at most; more wait for the next one.
pub(crate) const EVENTS_MAX: usize = 256;
