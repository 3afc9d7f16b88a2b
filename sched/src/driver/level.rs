//! What a descriptor is ready for at this moment, whatever events said.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::readiness::Interest;

/// Whether an operation in that direction would not block now: it has something to do, or it finds
/// an end or an error.
pub(super) fn is_ready(descriptor: BorrowedFd<'_>, interest: Interest) -> bool {
    let wanted = match interest {
        Interest::Read => PollFlags::IN | READ_CLOSED,
        Interest::Write => PollFlags::OUT,
    };
    // `poll` reports an error or a hang-up without being asked for it.
    let mut asked = [PollFd::from_borrowed_fd(descriptor, wanted)];
    poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

#[cfg(target_os = "linux")]
const READ_CLOSED: PollFlags = PollFlags::RDHUP;
/// Other systems report an end as something to read.
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
const READ_CLOSED: PollFlags = PollFlags::empty();
