//! The end of a wait, as a timer of its own in the epoll set.
//!
//! For a wait with a timeout the kernel programs a timer, and takes it back when an event ends the
//! wait: 0.4 µs. Nearly every wait ends by an event, and the next one has the same end as before,
//! or a later one. So the end is set once, and the waits themselves have none. When the end moves
//! to a later time the timer stays: it then ends one wait too early, which a wait may do.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

pub(super) struct WaitTimer {
    timerfd: OwnedFd,
    /// When it fires, in nanoseconds of the driver's clock; [`NEVER`] if it is not set.
    fires_at: Cell<u64>,
}

impl WaitTimer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timerfd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timerfd, fires_at: Cell::new(NEVER) })
    }

    /// Whether the timer ends a wait that begins at `now` and has this timeout: then the wait needs
    /// none.
    #[inline]
    pub(super) fn ends(&self, now: u64, timeout: Duration) -> bool {
        // A short wait is one that the timeout is likely to end, and the next one ends elsewhere.
        if timeout < TIMEOUT_MIN {
            return false;
        }
        let fires_at = self.fires_at.get();
        // A timer that has fired, or is about to, does not end a later wait.
        let is_ahead = now < fires_at && fires_at != NEVER;
        is_ahead && u128::from(fires_at - now) <= timeout.as_nanos() || self.set(now, timeout)
    }

    /// The timer has fired. Returns whether that was no earlier than the end of the wait that began
    /// at `now`.
    pub(super) fn record_fired(&self, now: u64, timeout: Option<Duration>) -> bool {
        let fired_at = self.fires_at.replace(NEVER);
        timeout
            .is_some_and(|timeout| timeout.as_nanos() <= u128::from(fired_at.saturating_sub(now)))
    }

    #[cold]
    fn set(&self, now: u64, timeout: Duration) -> bool {
        let (Ok(tv_sec), Ok(nanos)) = (timeout.as_secs().try_into(), timeout.as_nanos().try_into())
        else {
            return false;
        };
        let it_value = Timespec { tv_sec, tv_nsec: timeout.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let end = Itimerspec { it_interval, it_value };
        if timerfd_settime(&self.timerfd, TimerfdTimerFlags::empty(), &end).is_err() {
            self.fires_at.set(NEVER); // the wait has its timeout
            return false;
        }
        self.fires_at.set(now.saturating_add(nanos));
        true
    }
}

impl AsFd for WaitTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timerfd.as_fd()
    }
}

const NEVER: u64 = u64::MAX;

/// The shortest timeout for which the timer is set. Arbitrary: to set it costs as much as one or
/// two timeouts, and a shard that has something to do waits many times in that long.
const TIMEOUT_MIN: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_set_for_an_earlier_end_only() {
        let timer = WaitTimer::new().expect("descriptors");
        assert!(!timer.ends(0, Duration::MAX), "longer than the system knows");
        let nanos = 1_000_000_000;
        assert!(timer.ends(0, SECOND));
        assert_eq!(timer.fires_at.get(), nanos);
        assert!(timer.ends(nanos / 2, SECOND), "it ends such a wait too early");
        assert_eq!(timer.fires_at.get(), nanos);
        assert!(timer.ends(nanos / 4, SECOND / 2));
        assert_eq!(timer.fires_at.get(), nanos / 4 * 3);
        assert!(timer.ends(nanos, SECOND), "one that has fired is set again");
        assert_eq!(timer.fires_at.get(), 2 * nanos);
        assert!(!timer.ends(nanos, TIMEOUT_MIN / 2));
    }

    #[test]
    fn a_wait_that_it_has_ended_too_early_is_told_from_one_that_is_over() {
        let timer = WaitTimer::new().expect("descriptors");
        assert!(timer.ends(0, SECOND) && timer.ends(10, SECOND));
        assert!(!timer.record_fired(10, Some(SECOND)));
        assert!(timer.ends(0, SECOND) && timer.record_fired(0, Some(SECOND)));
        assert!(!timer.record_fired(0, None));
    }
}
