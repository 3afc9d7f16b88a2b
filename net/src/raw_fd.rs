//! The one place where a bare number becomes a descriptor: of those that a process is started with,
//! and of streams that another thread has.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{Shutdown, shutdown};

/// Takes the descriptor `number` that the process was started with.
///
/// One that is closed at the next `exec` was opened later, as everything is that Rust opens: it is
/// somebody else's, and not taken.
///
/// # Safety
///
/// Nothing else in the process owns what it was started with under that number, and nothing takes
/// it a second time.
///
/// # Errors
///
/// `NotFound` if the process was started without it.
pub(crate) unsafe fn take(number: RawFd) -> io::Result<OwnedFd> {
    // The descriptors of this process by number, on every Unix.
    fs::symlink_metadata(format!("/dev/fd/{number}"))?;
    // SAFETY: it is open, as has just been seen, and borrowed for the next line only.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl_getfd(descriptor)?.contains(FdFlags::CLOEXEC) {
        let message = "it was opened by this process";
        return Err(io::Error::new(ErrorKind::NotFound, message));
    }
    // SAFETY: it is open, and the caller vouches that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A descriptor that somebody else owns, and that stays open as long as this is in its
/// [`StreamSet`](crate::StreamSet): it is taken out, under the set's lock, before it is closed.
pub(crate) struct Number(pub(crate) RawFd);

impl Number {
    /// Ends both directions. Under the lock of the set that it is in.
    pub(crate) fn shut_down(&self) {
        // SAFETY: it is in its set, so it is open, and the lock keeps it so for this call.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.0) };
        // A connection that is gone already needs no end.
        let _ = shutdown(descriptor, Shutdown::Both);
    }
}
