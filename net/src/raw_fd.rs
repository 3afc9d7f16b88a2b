//! The one file where a bare number becomes a descriptor: descriptors that the process is started
//! with, and streams that another thread owns.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{Shutdown, shutdown};

/// Takes the descriptor `number` that the process was started with.
///
/// A descriptor with close-on-exec was opened later, as everything that Rust opens: other code owns
/// it, so it is not taken.
///
/// # Safety
///
/// No other code in the process owns the descriptor that the process was started with under that
/// number, and no code takes it a second time.
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
    // SAFETY: it is open, and the caller vouches that no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A descriptor that another thread owns. It stays open as long as this value is in its
/// [`StreamSet`](crate::StreamSet), because the owner removes it, under the set's lock, before it
/// closes the descriptor.
pub(crate) struct RawSocket(pub(crate) RawFd);

impl RawSocket {
    /// Ends both directions. The caller holds the lock of its set.
    pub(crate) fn shut_down(&self) {
        // SAFETY: it is in its set, so it is open, and the lock keeps it so for this call.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.0) };
        // A connection that is gone already needs no end.
        let _ = shutdown(descriptor, Shutdown::Both);
    }
}
