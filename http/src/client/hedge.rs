//! Hedging: a second attempt beside the first one, for an answer that is late.
//!
//! Both attempts are fibers of one scope. So the one that loses is cancelled, has unwound, and has
//! closed its connection before the call returns.

use std::panic::resume_unwind;
use std::time::Duration;

use straightline_sched::sync::{after, select};
use straightline_sched::{JoinHandle, Scope, remaining, scope, yield_now};

use super::retry_budget::RetryBudget;

/// Begins a second attempt if the first has no answer after a while. The first good answer wins,
/// and the other attempt is cancelled.
///
/// It makes the slowest answers quicker: if one answer of a hundred is late by chance, one of ten
/// thousand is late twice. The price is the load of the second attempts, so they take from the same
/// [`RetryBudget`] as retries. Set the delay to a time within which nearly all answers come. Hedge
/// only requests that may be made twice.
///
/// ```
/// use std::cell::Cell;
/// use std::time::Duration;
/// use straightline::client::{Hedge, RetryBudget};
/// use straightline::sched;
///
/// static BUDGET: RetryBudget = RetryBudget::new();
///
/// sched::run(|| {
///     let attempts = Cell::new(0);
///     let answer: Result<u32, ()> = Hedge::new(&BUDGET, Duration::from_millis(5)).run(|| {
///         attempts.set(attempts.get() + 1);
///         if attempts.get() == 1 {
///             sched::sleep(Duration::from_secs(3_600)); // the first one is stuck
///         }
///         Ok(42)
///     });
///     assert_eq!(answer, Ok(42));
/// });
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Hedge<'b> {
    budget: &'b RetryBudget,
    delay: Duration,
}

impl<'b> Hedge<'b> {
    /// A second attempt after `delay`. Not a yield point.
    pub const fn new(budget: &'b RetryBudget, delay: Duration) -> Self {
        Self { budget, delay }
    }

    /// Runs `attempt` on a fiber of its own, and once more beside it if there is no outcome after
    /// the delay. An error before the delay is returned at once, which
    /// [`Retry`](super::Retry) may judge. While two attempts run, an error of one of them is
    /// dropped, and the outcome of the other is returned.
    ///
    /// There is no second attempt if the budget is used up, or if the deadline leaves no more time
    /// than the first attempt has taken already.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends both attempts by unwinding.
    ///
    /// # Panics
    ///
    /// When an attempt does; the other one is cancelled. Outside of a fiber.
    pub fn run<T, E>(&self, attempt: impl Fn() -> Result<T, E>) -> Result<T, E> {
        self.budget.record_request();
        let outcome = scope(|s| {
            let first = s.spawn(&attempt);
            if select(&[&first, &after(self.delay)]) != Ok(1) || !self.may_begin_second() {
                return outcome_of(first);
            }
            first_good(s, first, s.spawn(&attempt))
        });
        // In a fiber that unwinds no fiber begins. The attempt then says itself why it cannot wait.
        outcome.unwrap_or_else(attempt)
    }

    fn may_begin_second(&self) -> bool {
        remaining().is_none_or(|left| left > self.delay) && self.budget.try_take()
    }
}

/// The first good outcome of two attempts; of two errors the second one.
fn first_good<'scope, T: 'scope, E: 'scope>(
    s: &'scope Scope<'scope, '_>,
    first: JoinHandle<Result<T, E>>,
    second: JoinHandle<Result<T, E>>,
) -> Option<Result<T, E>> {
    let (winner, other) = match select(&[&first, &second]) {
        Ok(1) => (second, first),
        _ => (first, second),
    };
    let outcome = outcome_of(winner);
    if let Some(Ok(_)) = outcome {
        s.cancel();
        return outcome;
    }
    outcome_of(other)
}

/// What an attempt returned; `None` if the caller unwinds, so that the attempt did not run.
fn outcome_of<T, E>(attempt: JoinHandle<Result<T, E>>) -> Option<Result<T, E>> {
    let error = match attempt.join() {
        Ok(outcome) => return Some(outcome),
        Err(error) => error,
    };
    if let Ok(payload) = error.into_panic() {
        resume_unwind(payload);
    }
    // The attempt was past a deadline that it shares with the caller, who unwinds here too.
    yield_now();
    None
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use straightline_sched::{deadline, now, sim, sleep, stats};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Adds its number to a list when it is dropped.
    struct Ended<'l>(u32, &'l RefCell<Vec<u32>>);

    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    /// Hedges after 10 ms attempts that take these times and have these outcomes. Returns the
    /// outcome, the attempts in the order of their ends, and the time that it took.
    fn hedged(
        budget: &RetryBudget,
        attempts: [(u32, Result<u32, u32>); 2],
    ) -> (Result<u32, u32>, Vec<u32>, Duration) {
        let (begun, ended, start) = (Cell::new(0), RefCell::new(Vec::new()), now());
        let outcome = Hedge::new(budget, 10 * MS).run(|| {
            let number = begun.replace(begun.get() + 1);
            let _ended = Ended(number, &ended);
            let (time, outcome) = attempts[number as usize];
            sleep(time * MS);
            outcome
        });
        (outcome, ended.take(), now() - start)
    }

    #[test]
    fn an_answer_in_time_has_no_second_attempt() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let (outcome, ended, _) = hedged(&budget, [(5, Ok(1)), (0, Ok(2))]);
            assert_eq!((outcome, ended), (Ok(1), vec![0]));
            let (outcome, ended, _) = hedged(&budget, [(5, Err(1)), (0, Ok(2))]);
            assert_eq!((outcome, ended), (Err(1), vec![0]));
            assert_eq!((budget.requests(), budget.retries()), (2, 0));
        });
    }

    #[test]
    fn the_first_good_answer_wins_and_the_other_attempt_has_ended() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let (outcome, ended, took) = hedged(&budget, [(1_000, Ok(1)), (5, Ok(2))]);
            assert_eq!((outcome, ended), (Ok(2), vec![1, 0]));
            assert!(took < 20 * MS, "{took:?}");
            let (outcome, ended, _) = hedged(&budget, [(15, Ok(1)), (1_000, Ok(2))]);
            assert_eq!((outcome, ended), (Ok(1), vec![0, 1]));
            assert_eq!(budget.retries(), 2);
        });
    }

    #[test]
    fn an_error_waits_for_the_other_attempt() {
        sim::check(|| {
            let budget = RetryBudget::new();
            assert_eq!(hedged(&budget, [(15, Err(1)), (30, Ok(2))]).0, Ok(2));
            assert_eq!(hedged(&budget, [(50, Ok(1)), (5, Err(2))]).0, Ok(1));
            assert_eq!(hedged(&budget, [(15, Err(1)), (30, Err(2))]).0, Err(2));
        });
    }

    #[test]
    fn without_budget_there_is_one_attempt() {
        sim::check(|| {
            let budget = RetryBudget::with(1, 0);
            assert_eq!(hedged(&budget, [(100, Ok(1)), (5, Ok(2))]).0, Ok(2));
            assert_eq!(hedged(&budget, [(100, Ok(1)), (5, Ok(2))]).0, Ok(1));
            assert_eq!(budget.refused(), 1);
        });
    }

    #[test]
    fn a_deadline_ends_both_attempts() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let ended = RefCell::new(Vec::new());
            let outcome = deadline(25 * MS, || {
                Hedge::new(&budget, 10 * MS).run(|| {
                    let _ended = Ended(0, &ended);
                    sleep(1_000 * MS);
                    Ok::<(), ()>(())
                })
            });
            assert!(outcome.is_err());
            assert_eq!(ended.take().len(), 2);
        });
    }

    #[test]
    fn no_second_attempt_begins_that_the_deadline_would_cut() {
        sim::check(|| {
            let budget = RetryBudget::new();
            let outcome = deadline(18 * MS, || hedged(&budget, [(15, Ok(1)), (0, Ok(2))]).0);
            assert_eq!((outcome, budget.retries()), (Ok(Ok(1)), 0));
        });
    }

    #[test]
    fn a_panic_of_one_attempt_cancels_the_other() {
        sim::check(|| {
            let (budget, begun) = (RetryBudget::new(), Cell::new(0));
            let ended = RefCell::new(Vec::new());
            let hedge = Hedge::new(&budget, 10 * MS);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                hedge.run(|| {
                    let number = begun.replace(begun.get() + 1);
                    let _ended = Ended(number, &ended);
                    sleep(if number == 0 { 1_000 * MS } else { MS });
                    if number == 1 {
                        resume_unwind(Box::new("broken"));
                    }
                    Ok::<(), ()>(())
                })
            }));
            assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"broken"));
            assert_eq!(ended.take(), [1, 0]);
        });
    }

    #[test]
    fn a_fiber_that_unwinds_makes_its_attempt_without_a_fiber() {
        struct Hedges<'h>(&'h Cell<Option<bool>>);

        impl Drop for Hedges<'_> {
            fn drop(&mut self) {
                let budget = RetryBudget::new();
                let fibers = stats().spawned;
                let outcome = Hedge::new(&budget, MS).run(|| Err::<(), u64>(stats().spawned));
                self.0.set(Some(outcome == Err(fibers)));
            }
        }

        sim::run(1, || {
            let seen = Cell::new(None);
            let outcome = deadline(MS, || {
                let _hedges = Hedges(&seen);
                sleep(1_000 * MS);
            });
            assert!(outcome.is_err());
            assert_eq!(seen.get(), Some(true));
        });
    }
}
