//! The clock of `Instant`, as a number.
//!
//! An `Instant` is opaque: to compare two takes a subtraction of seconds and nanoseconds, several
//! times a turn. It is the monotonic clock; here that is read as one number. By libc and not by
//! rustix, whose way to the clock does not work under Valgrind.

use std::mem::MaybeUninit;

/// Nanoseconds since some moment before the process began.
#[inline]
pub(super) fn monotonic_nanos() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `now` has room for what the call writes. It cannot fail: the clock exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is a value of it, and then written by the call.
    let now = unsafe { now.assume_init() };
    // Neither is ever negative, and the product fits for 584 years after the machine's start.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
