//! How long one call of a stream may wait.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::time::Duration;

use straightline_sched::Interest;

/// How long one call may wait, for each direction; never zero.
#[derive(Default)]
pub(crate) struct Timeouts {
    read: Cell<Option<Duration>>,
    write: Cell<Option<Duration>>,
}

impl Timeouts {
    pub(crate) fn timeout(&self, interest: Interest) -> Option<Duration> {
        self.of(interest).get()
    }

    pub(crate) fn set_timeout(&self, interest: Interest, timeout: Option<Duration>) {
        self.of(interest).set(timeout);
    }

    fn of(&self, interest: Interest) -> &Cell<Option<Duration>> {
        match interest {
            Interest::Read => &self.read,
            Interest::Write => &self.write,
        }
    }
}

/// Checks a timeout that a setter was given: as in std, it must not be zero.
pub(crate) fn checked_timeout(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of zero"));
    }
    Ok(timeout)
}

/// The error of a read or a write that has waited for as long as its timeout allows.
pub(crate) fn call_timed_out(interest: Interest, timeout: Option<Duration>) -> io::Error {
    let timeout = timeout.unwrap_or_default();
    let message = match interest {
        Interest::Read => format!("nothing arrived within the read timeout of {timeout:?}"),
        Interest::Write => format!("the peer made no room within the write timeout of {timeout:?}"),
    };
    io::Error::new(ErrorKind::TimedOut, message)
}
