//! Retries: exponential backoff with full jitter, a budget, and the deadline of the caller.
//!
//! Each attempt but the first waits a random time before it, from zero up to a bound that doubles
//! ("full jitter"). Clients that failed together then do not return together.

use std::time::Duration;

use straightline_sched::{random_u64, remaining, sleep};

use super::retry_budget::RetryBudget;
use super::verdict::Verdict;

/// Makes attempts until one is good, for as long as it makes sense.
///
/// No attempt follows if the outcome is not worth one (the closure `judge` says so), if all
/// attempts were made, if the [`RetryBudget`] is used up, or if the caller's
/// [deadline](straightline_sched::deadline()) would leave no time for it. The last outcome is then
/// returned as it is.
///
/// ```
/// use straightline::client::{Retry, RetryBudget, Verdict};
/// use straightline::sched;
///
/// static BUDGET: RetryBudget = RetryBudget::new();
///
/// sched::run(|| {
///     let mut outcomes = [Err("busy"), Err("busy"), Ok("done")].into_iter();
///     let outcome = Retry::new(&BUDGET).run(
///         || outcomes.next().unwrap(),
///         |outcome| if outcome.is_ok() { Verdict::Done } else { Verdict::Retry },
///     );
///     assert_eq!(outcome, Ok("done"));
/// });
/// ```
///
/// For calls of a [`Client`](super::Client), `Verdict::of_call` judges by the method, the error and
/// the status.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Retry<'b> {
    budget: &'b RetryBudget,
    attempts: u32,
    delay_first: Duration,
    delay_max: Duration,
    asked_delay_max: Duration,
    attempt_time_min: Duration,
}

impl<'b> Retry<'b> {
    /// The default settings, which each method tells. Not a yield point.
    pub const fn new(budget: &'b RetryBudget) -> Self {
        Self {
            budget,
            attempts: 3,
            delay_first: Duration::from_millis(50),
            delay_max: Duration::from_secs(2),
            asked_delay_max: Duration::from_secs(10),
            attempt_time_min: Duration::from_millis(10),
        }
    }

    /// How many attempts there are at most, the first included; 0 counts as 1. Default: 3. A third
    /// attempt seldom helps and a fourth hardly ever, because failures of one server come together.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The bound of the wait before the second attempt; it doubles with each further one. Default:
    /// 50 ms, some round trips within a data centre.
    pub const fn delay_first(mut self, delay: Duration) -> Self {
        self.delay_first = delay;
        self
    }

    /// Where the bound of the waits stops doubling. Default: 2 s, because a handler's client waits
    /// meanwhile.
    pub const fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// How long a wait the server may ask for ([`Verdict::RetryAfter`]). If it asks for more, no
    /// attempt follows. Default: 10 s.
    pub const fn asked_delay_max(mut self, delay: Duration) -> Self {
        self.asked_delay_max = delay;
        self
    }

    /// How much time the caller's deadline must leave behind the wait, for an attempt to follow.
    /// Default: 10 ms, an arbitrary value: set the time that a good answer usually takes.
    pub const fn attempt_time_min(mut self, time: Duration) -> Self {
        self.attempt_time_min = time;
        self
    }

    /// Calls `attempt` until `judge` says that its outcome is final, or no attempt may follow.
    /// Returns the last outcome. An outcome that is not the last is dropped before the wait, with
    /// the connection that it may hold.
    ///
    /// # Blocking
    ///
    /// A yield point between two attempts, and where the closures are.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait between two attempts by unwinding.
    ///
    /// # Panics
    ///
    /// When a closure does, and outside of a fiber.
    pub fn run<T, E>(
        &self,
        mut attempt: impl FnMut() -> Result<T, E>,
        judge: impl Fn(&Result<T, E>) -> Verdict,
    ) -> Result<T, E> {
        self.budget.record_request();
        let mut made = 0;
        loop {
            let outcome = attempt();
            made += 1;
            let Some(delay) = self.delay_before_next(made, judge(&outcome)) else {
                return outcome;
            };
            drop(outcome);
            sleep(delay);
        }
    }

    /// How long to wait before the next attempt; `None` if none may follow.
    fn delay_before_next(&self, made: u32, verdict: Verdict) -> Option<Duration> {
        let asked = match verdict {
            Verdict::Done => return None,
            Verdict::Retry => Duration::ZERO,
            Verdict::RetryAfter(asked) => asked,
        };
        if made >= self.attempts || asked > self.asked_delay_max {
            return None;
        }
        let delay = asked.saturating_add(jitter(self.delay_bound(made), random_u64()));
        let needed = delay.saturating_add(self.attempt_time_min);
        if remaining().is_some_and(|left| left < needed) {
            return None;
        }
        self.budget.try_take().then_some(delay)
    }

    /// The bound of the wait behind attempt `made`.
    fn delay_bound(&self, made: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
        self.delay_first.saturating_mul(doubled).min(self.delay_max)
    }
}

/// A time from zero to `bound`, both included.
fn jitter(bound: Duration, random: u64) -> Duration {
    let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(bound.checked_add(1).map_or(random, |count| random % count))
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;
    use straightline_sched::{DeadlineExceeded, deadline, now, sim};

    use super::*;

    quickcheck! {
        fn a_jitter_is_within_its_bound(nanos: u64, random: u64) -> bool {
            let bound = Duration::from_nanos(nanos);
            jitter(bound, random) <= bound
        }

        fn bounds_double_up_to_the_most(first: u32, most: u32, made: u32) -> bool {
            static BUDGET: RetryBudget = RetryBudget::new();
            let [first, most] = [first, most].map(|micros| Duration::from_micros(micros.into()));
            let retry = Retry::new(&BUDGET).delay_first(first).delay_max(most);
            let (one, next) = (retry.delay_bound(made), retry.delay_bound(made.saturating_add(1)));
            one <= most && one <= next && (made != 1 || one == first.min(most))
        }
    }

    const MS: Duration = Duration::from_millis(1);

    /// Makes attempts that fail, with a verdict each. Returns how many there were, and how long
    /// they took.
    fn attempts(retry: Retry<'_>, verdict: Verdict) -> (u32, Duration) {
        let (start, mut made) = (now(), 0);
        let outcome: Result<(), u32> = retry.run(
            || {
                made += 1;
                Err(made)
            },
            |_| verdict,
        );
        assert_eq!(outcome, Err(made), "the last outcome is returned");
        (made, now() - start)
    }

    #[test]
    fn attempts_end_at_their_limit() {
        sim::check(|| {
            for limit in 0..5 {
                let budget = RetryBudget::new();
                let (made, _) = attempts(Retry::new(&budget).attempts(limit), Verdict::Retry);
                assert_eq!(made, limit.max(1));
                assert_eq!((budget.requests(), budget.retries()), (1, u64::from(made) - 1));
            }
        });
    }

    #[test]
    fn waits_are_within_the_sum_of_their_bounds() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let retry = Retry::new(&budget).attempts(5).delay_first(100 * MS).delay_max(300 * MS);
            let (made, took) = attempts(retry, Verdict::Retry);
            assert_eq!(made, 5);
            assert!(took <= (100 + 200 + 300 + 300 + 1) * MS, "{took:?}");
        });
    }

    #[test]
    fn an_outcome_that_is_final_is_not_followed() {
        sim::run(1, || {
            let budget = RetryBudget::new();
            assert_eq!(attempts(Retry::new(&budget), Verdict::Done).0, 1);
            assert_eq!(budget.retries(), 0);
        });
    }

    #[test]
    fn a_budget_that_is_used_up_ends_the_retries() {
        sim::check(|| {
            let budget = RetryBudget::with(4, 10);
            let retry = Retry::new(&budget).attempts(3);
            let made: u32 = (0..100).map(|_| attempts(retry, Verdict::Retry).0).sum();
            // 100 first attempts, the reserve, and a tenth; up to the first full account nothing is
            // lost.
            assert_eq!(made, 100 + 4 + 9, "{budget:?}");
            assert!(budget.refused() > 0);
        });
    }

    #[test]
    fn no_attempt_follows_that_the_deadline_would_cut() {
        sim::check(|| {
            let budget = RetryBudget::with(1_000, 100);
            let retry = Retry::new(&budget)
                .attempts(1_000)
                .delay_first(50 * MS)
                .delay_max(50 * MS)
                .attempt_time_min(20 * MS);
            let begun = now();
            let outcome = deadline(200 * MS, || {
                retry.run(
                    || {
                        assert!(now() - begun <= 180 * MS + MS, "no time is left");
                        Err::<(), ()>(())
                    },
                    |_| Verdict::Retry,
                )
            });
            assert_eq!(outcome, Ok(Err(())), "the deadline did not cut it");
        });
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_kept_up_to_its_limit() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let retry = Retry::new(&budget).attempts(2).asked_delay_max(1_000 * MS);
            for (asked, expected) in [(999, 2), (1_000, 2), (1_001, 1)] {
                let (made, took) = attempts(retry, Verdict::RetryAfter(asked * MS));
                assert_eq!(made, expected, "{asked}");
                assert!(made == 1 || took >= asked * MS, "{took:?}");
            }
        });
    }

    #[test]
    fn a_deadline_ends_the_wait_between_attempts() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let retry = Retry::new(&budget).attempt_time_min(Duration::ZERO);
            let outcome = deadline(MS, || {
                // The attempt sees no deadline that is near, the wait does.
                let outcome: Result<(), ()> = retry.run(
                    || {
                        sleep(2 * MS);
                        Err(())
                    },
                    |_| Verdict::Retry,
                );
                outcome
            });
            assert_eq!(outcome, Err(DeadlineExceeded));
        });
    }
}
