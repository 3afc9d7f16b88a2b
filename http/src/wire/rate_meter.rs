//! How slow a client is: the time that the server waited for it against the bytes that it moved.
//!
//! A client has a credit of time. Waiting for the client uses the credit up, and its bytes earn
//! credit back at the minimum rate. The credit is never more than the grace: so a client may be
//! behind the rate by the grace at any time, and a fast beginning does not let it stand still for
//! longer later on.
//!
//! The credit belongs to the connection and not to a request. If it began anew with each request, a
//! client could make the server wait without end, at the cost of a head now and then.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::config::MinRate;

/// The credit of a client in one direction of a connection. The owner knows which pace applies.
#[derive(Debug)]
pub(super) struct RateMeter {
    credit: Cell<Duration>,
}

/// Which bound of a pace was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    Idle,
    Rate,
}

impl RateMeter {
    pub(crate) fn new(pace: &MinRate) -> Self {
        Self { credit: Cell::new(pace.grace) }
    }

    pub(super) fn credit(&self) -> Duration {
        self.credit.get()
    }

    /// The client has that much credit.
    pub(super) fn set_credit(&self, credit: Duration) {
        self.credit.set(credit);
    }

    /// The next body at the usual pace, with the credit that earlier bodies have left.
    pub(super) fn continue_with(&self, pace: &MinRate, credit: Duration) {
        self.credit.set(credit.min(pace.grace));
    }

    /// The client has the full credit of that pace.
    pub(super) fn restart(&self, pace: &MinRate) {
        self.credit.set(pace.grace);
    }

    /// Until when to wait from `now` on, and which bound that is. The client has been idle for
    /// `idle_for` by now.
    pub(crate) fn allowance(
        &self,
        pace: &MinRate,
        now: Instant,
        idle_for: Duration,
    ) -> (Option<Instant>, Slow) {
        let (credit, idle) = (self.credit.get(), pace.idle.saturating_sub(idle_for));
        if pace.bytes_per_second > 0 && credit < idle {
            (now.checked_add(credit), Slow::Rate)
        } else {
            (now.checked_add(idle), Slow::Idle)
        }
    }

    pub(crate) fn spend(&self, time: Duration) {
        self.credit.set(self.credit.get().saturating_sub(time));
    }

    #[inline]
    pub(super) fn on_bytes(&self, pace: &MinRate, bytes: usize) {
        if self.credit.get() < pace.grace {
            self.earn(pace, bytes);
        }
    }

    #[cold]
    fn earn(&self, pace: &MinRate, bytes: usize) {
        if let Some(nanos) = (bytes as u64).saturating_mul(NANOS).checked_div(pace.bytes_per_second)
        {
            let earned = Duration::from_nanos(nanos);
            self.credit.set(self.credit.get().saturating_add(earned).min(pace.grace));
        }
    }
}

/// When to check next, in a wait from `now` on, whether the client makes progress. The end of its
/// idle time may be noticed this much later.
pub(super) fn look_at(pace: &MinRate, now: Instant) -> Option<Instant> {
    now.checked_add(pace.idle / LOOKS)
}

/// How often to check within an idle time. Arbitrary: as often as idle connections are swept.
const LOOKS: u32 = 16;

/// How many nanoseconds a second has.
const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    const fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_client_that_keeps_the_rate_is_never_late() {
        let pace = MinRate { idle: secs(30), bytes_per_second: 100, grace: secs(10) };
        let min_rate = RateMeter::new(&pace);
        let now = Instant::now();
        for _ in 0..1_000 {
            let (until, which) = min_rate.allowance(&pace, now, Duration::ZERO);
            assert_eq!(which, Slow::Rate);
            assert!(until.is_some_and(|until| until >= now + secs(5)));
            min_rate.spend(secs(5));
            min_rate.on_bytes(&pace, 500);
        }
        min_rate.spend(secs(8));
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(2)), Slow::Rate)
        );
        // A client that has been fast has no more credit than the grace.
        min_rate.on_bytes(&pace, 1_000_000_000);
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(10)), Slow::Rate)
        );
    }

    #[test]
    fn a_bound_that_is_not_wanted_is_none() {
        let now = Instant::now();
        let pace = MinRate { idle: secs(30), bytes_per_second: 0, grace: secs(10) };
        let min_rate = RateMeter::new(&pace);
        min_rate.spend(secs(1_000));
        min_rate.on_bytes(&pace, 1);
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(30)), Slow::Idle)
        );
        let pace = MinRate { idle: Duration::MAX, bytes_per_second: 1, grace: Duration::MAX };
        let min_rate = RateMeter::new(&pace);
        assert_eq!(min_rate.allowance(&pace, now, Duration::ZERO), (None, Slow::Idle));
    }

    #[test]
    fn the_next_body_has_what_the_last_one_left() {
        let now = Instant::now();
        let pace = MinRate { idle: secs(30), bytes_per_second: 100, grace: secs(10) };
        let min_rate = RateMeter::new(&pace);
        min_rate.spend(secs(7));
        min_rate.continue_with(&pace, min_rate.credit());
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(3)), Slow::Rate)
        );
        // A body with a pace of its own does not change the credit of the other bodies.
        let kept = min_rate.credit();
        let own = MinRate { grace: secs(25), ..pace };
        min_rate.restart(&own);
        assert_eq!(
            min_rate.allowance(&own, now, Duration::ZERO),
            (Some(now + secs(25)), Slow::Rate)
        );
        min_rate.spend(secs(25));
        min_rate.continue_with(&pace, kept);
        min_rate.on_bytes(&pace, 200);
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(5)), Slow::Rate)
        );
        min_rate.continue_with(&pace, secs(100));
        assert_eq!(
            min_rate.allowance(&pace, now, Duration::ZERO),
            (Some(now + secs(10)), Slow::Rate)
        );
    }

    quickcheck! {
        /// However waits and bytes alternate: the time waited in all is at most the grace and the
        /// time that the bytes have earned.
        fn a_client_is_waited_for_no_longer_than_it_has_earned(steps: Vec<(u16, u16)>) -> bool {
            let pace = MinRate { idle: secs(30), bytes_per_second: 240, grace: secs(60) };
            let min_rate = RateMeter::new(&pace);
            let now = Instant::now();
            let (mut waited, mut earned) = (Duration::ZERO, Duration::ZERO);
            for (millis, bytes) in steps {
                let (until, _) = min_rate.allowance(&pace, now, Duration::ZERO);
                let allowance = until.map_or(Duration::MAX, |until| until - now);
                let time = Duration::from_millis(millis.into()).min(allowance);
                min_rate.spend(time);
                waited += time;
                if waited > pace.grace + earned {
                    return false;
                }
                min_rate.on_bytes(&pace, bytes.into());
                earned += Duration::from_nanos(u64::from(bytes) * NANOS / 240);
            }
            true
        }
    }
}
