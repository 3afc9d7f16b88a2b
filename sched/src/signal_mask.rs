//! Signals that a process is not to be deaf to.
//!
//! Which signals a thread holds back is inherited: from who starts the process, and by each of its
//! threads. A service manager, or a shell that was in the middle of something, may so pass on that
//! SIGTERM is held back, and then no handler of it is ever called.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Has the calling thread take these signals, whatever it was started with. A signal for the whole
/// process reaches it if any thread takes it, so one is enough.
///
/// Not a yield point. Threads and processes that this one starts from now on take them too.
///
/// # Errors
///
/// When a number is none of a signal.
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
        // SAFETY: it is a set, and numbers that are no signal's are refused.
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
