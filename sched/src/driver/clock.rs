//! The clock of `Instant`, as a number.
//!
//! An `Instant` is opaque: to compare two takes a subtraction of seconds and nanoseconds, several
//! times a turn. On Linux it is the monotonic clock, which this file reads as one number. It uses
//! libc and not rustix, whose way to the clock does not work under Valgrind. On other systems it
//! goes through `Instant`, whose clock std chooses there.

use std::time::Instant;

/// Counts from the moment at which it was made.
pub(super) struct Clock {
    started_at: Instant,
    #[cfg(target_os = "linux")]
    started_nanos: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            started_at: Instant::now(),
            #[cfg(target_os = "linux")]
            started_nanos: monotonic_nanos(),
        }
    }

    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Nanoseconds since [`started_at`](Self::started_at), or slightly less: a point in time that
    /// this has reached has passed by `Instant` too.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(super) fn elapsed_nanos(&self) -> u64 {
        monotonic_nanos() - self.started_nanos
    }

    /// Nanoseconds since [`started_at`](Self::started_at).
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    pub(super) fn elapsed_nanos(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

/// Nanoseconds since some moment before the process began.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic_nanos() -> u64 {
    let mut now = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `now` has room for the result of the call. It cannot fail: the clock exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is a valid value, and then written by the call.
    let now = unsafe { now.assume_init() };
    // Neither is ever negative, and the product fits for 584 years after the machine's start.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
