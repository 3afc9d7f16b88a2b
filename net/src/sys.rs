//! The system calls of Linux that no crate has as safe functions.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;

/// Calls `write`, a system call that raises SIGPIPE if the peer is gone, and that has no flag
/// against it. Here it returns `EPIPE` and raises nothing, whatever the program does with that
/// signal: the kernel raises the signal in the calling thread, and this function blocks it there
/// meanwhile.
///
/// Costs two more system calls, and a third one if the peer is gone.
pub(crate) fn without_sigpipe<T>(write: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let pipe = only_sigpipe();
    let mut before = pipe;
    // SAFETY: both point to sets that live across the call, which writes no other memory.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before) };
    debug_assert_eq!(blocked, 0, "its arguments are constants");
    let result = write();
    // SAFETY: it reads a set that the call above has filled.
    if unsafe { libc::sigismember(&raw const before, libc::SIGPIPE) } == 1 {
        return result; // the program has blocked it itself, and handles it as it likes
    }
    if matches!(result, Err(Errno::PIPE)) {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            // SAFETY: both point to values that live across the call; the result may be left out.
            let taken =
                unsafe { libc::sigtimedwait(&raw const pipe, ptr::null_mut(), &raw const at_once) };
            if taken >= 0
                || Errno::from_io_error(&std::io::Error::last_os_error()) != Some(Errno::INTR)
            {
                break;
            }
        }
    }
    // SAFETY: it reads a set that the first call has filled, and the null asks for no other.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    result
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it points to memory for a set, which the call fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the call before has made a set of it.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: as above.
    unsafe { set.assume_init() }
}

/// Bytes that were written to a stream socket and that its peer has not acknowledged, or on a Unix
/// socket not read (with the overhead of their buffers); `None` if the system does not tell.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, as it is borrowed, and this request writes one `int`, for
    // which there is room.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result == 0 { u64::try_from(count).ok() } else { None }
}
