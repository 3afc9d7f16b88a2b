//! A bound on how much load retries add.
//!
//! When a server fails, each of its clients that tries three times triples its load, at the worst
//! moment. So the number of retries depends on the number of requests, and not on the number of
//! failures: in an outage the load grows by the share that the budget allows, and not threefold.
//!
//! The account is one number, in hundredths of a retry. Each request pays in, each retry takes out
//! a hundred. The account is never above its reserve, so that a long quiet time saves nothing up
//! for the next outage, and never below zero. So at any time
//! `retries <= reserve + requests * percent / 100`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many retries, and second attempts of a [`Hedge`](super::Hedge), there may be for the
/// requests that are made. All calls to one upstream service should share one budget.
///
/// It is `Sync`, and made by a `const fn`: a `static` is a budget of all shards, a field of the
/// shard's state a budget of one.
///
/// ```
/// use straightline::client::RetryBudget;
///
/// static STOCK_SERVICE: RetryBudget = RetryBudget::new();
///
/// let strict = RetryBudget::with(2, 5); // two at once, and then one for 20 requests
/// assert!(strict.try_take() && strict.try_take() && !strict.try_take());
/// (0..20).for_each(|_| strict.record_request());
/// assert!(strict.try_take() && !strict.try_take());
/// assert_eq!((strict.requests(), strict.retries(), strict.refused()), (20, 3, 2));
/// assert_eq!(STOCK_SERVICE.retries(), 0);
/// ```
pub struct RetryBudget {
    /// `0 <= account <= account_max`.
    account: AtomicU64,
    account_max: u64,
    /// What one request pays in.
    percent: u64,
    requests: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
}

impl RetryBudget {
    /// Ten retries in reserve, and one for each ten requests. The reserve lets a service with few
    /// requests retry at all. The tenth is what gRPC takes as an example for its own throttling: an
    /// upstream service that fails gets 110 % of its load. Not a yield point.
    pub const fn new() -> Self {
        Self::with(RESERVE, PERCENT)
    }

    /// That many retries in reserve, and `percent` more for each 100 requests. More than 100 count
    /// as 100. With a reserve of 0 there are no retries at all. Not a yield point.
    pub const fn with(reserve: u32, percent: u32) -> Self {
        let account_max = reserve as u64 * OF_A_RETRY;
        Self {
            account: AtomicU64::new(account_max),
            account_max,
            percent: if percent > 100 { 100 } else { percent as u64 },
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Counts a request, whose first attempt needs no budget. [`Retry`](super::Retry) and
    /// [`Hedge`](super::Hedge) do it themselves. Not a yield point.
    pub fn record_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let pay_in = |account: u64| Some((account + self.percent).min(self.account_max));
        let _ = self.account.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay_in);
    }

    /// Takes one retry out of the budget; false if there is none left. Not a yield point.
    pub fn try_take(&self) -> bool {
        let take_out = |account: u64| account.checked_sub(OF_A_RETRY);
        let taken = self.account.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_out);
        let counter = if taken.is_ok() { &self.retries } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        taken.is_ok()
    }

    /// How many requests were counted. Not a yield point.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many retries were taken. Not a yield point.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How many retries were refused: a number that grows says that an upstream service fails. Not
    /// a yield point.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("requests", &self.requests())
            .field("retries", &self.retries())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

/// What a retry costs; a request pays in `percent` of it.
const OF_A_RETRY: u64 = 100;

const RESERVE: u32 = 10;

const PERCENT: u32 = 10;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn retries_never_exceed_the_reserve_and_the_share(
            reserve: u8,
            percent: u8,
            steps: Vec<bool>
        ) -> bool {
            let budget = RetryBudget::with(reserve.into(), percent.into());
            let percent = u64::from(percent).min(100);
            steps.into_iter().all(|is_request| {
                if is_request {
                    budget.record_request();
                } else {
                    budget.try_take();
                }
                let earned = u64::from(reserve) * OF_A_RETRY + budget.requests() * percent;
                budget.retries() * OF_A_RETRY <= earned
            })
        }

        fn a_budget_that_is_used_up_earns_the_share_exactly(requests: u16) -> bool {
            let budget = RetryBudget::with(1, 10);
            assert!(budget.try_take());
            let mut retries = 0;
            for _ in 0..requests {
                budget.record_request();
                retries += u16::from(budget.try_take());
            }
            retries == requests / 10
        }
    }

    #[test]
    fn a_quiet_time_saves_up_no_more_than_the_reserve() {
        let budget = RetryBudget::with(3, 100);
        (0..1_000).for_each(|_| budget.record_request());
        let taken = (0..1_000).filter(|_| budget.try_take()).count();
        assert_eq!((taken, budget.refused()), (3, 997));
    }

    #[test]
    fn without_a_reserve_there_are_no_retries() {
        let budget = RetryBudget::with(0, 100);
        budget.record_request();
        assert!(!budget.try_take());
    }
}
