//! Signals that a process must be able to receive.
//!
//! A thread inherits which signals it blocks: from the process's parent, and from the thread that
//! starts it. A service manager, or a shell in the middle of some work, may so pass on a blocked
//! SIGTERM, and then no handler of it is ever called.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Unblocks these signals for the calling thread, whatever it has inherited. A signal for the whole
/// process reaches it if any thread does not block it, so one thread is enough.
///
/// Not a yield point. Threads and processes that this thread starts from now on inherit it.
///
/// # Errors
///
/// When a number is not the number of a signal.
///
/// ```
/// const SIGTERM: i32 = 15;
/// straightline_sched::unblock_signals(&[SIGTERM])?;
/// # std::io::Result::Ok(())
/// ```
pub fn unblock_signals(signals: &[i32]) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: there is room for a set.
    if unsafe { libc::sigemptyset(set.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has made it an empty set.
    let mut set = unsafe { set.assume_init() };
    for &signal in signals {
        // SAFETY: it is a set, and a number that is no signal's is refused.
        if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the set can be read, and the former one is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
