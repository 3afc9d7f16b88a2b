//! Token buckets of many clients in a table of fixed size, which all shards share.
//!
//! A bucket is one number: the time at which it is full again. It is kept in the algorithm GCRA,
//! which is a token bucket without the tokens. A bucket that is full is the same as none, so it
//! needs no place in the table.
//!
//! The table has sets of eight places, each set with a lock of its own, held for a few
//! instructions. A client's key chooses its set by a keyed hash, so a client cannot choose
//! addresses that share a set. If all places of a set are taken, a new client takes the place of
//! the bucket with the most tokens, *and begins with what was in it*. So no place ever gives out
//! tokens faster than the rate: a client cannot empty its bucket, push it out by requests from
//! other addresses, and come back to a full one. The price falls on new clients while there are
//! more clients than places: their buckets begin with fewer tokens.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::{now, random_u64, sim};

/// The buckets of all clients.
pub(super) struct TokenBuckets {
    sets: Box<[Mutex<Set>]>,
    /// How long a token takes to come, in nanoseconds; at least 1.
    interval: u64,
    /// How long all tokens but one take, in nanoseconds.
    tolerance: u64,
    /// From when times count, and the secret of the hash; from the first request.
    begun: OnceLock<(Instant, u64)>,
}

type Set = [Place; PLACES];

/// The bucket of a client; of none, if it is full.
#[derive(Clone, Copy, Default)]
struct Place {
    key: u64,
    /// When the bucket is full again, in nanoseconds.
    full_at: u64,
}

impl TokenBuckets {
    /// Buckets of `burst` tokens, for at least `clients` clients. Each token takes `interval`.
    pub(super) fn new(interval: Duration, burst: u32, clients: usize) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let interval = nanos(interval).clamp(1, INTERVAL_MAX);
        let tolerance = interval.saturating_mul(u64::from(burst.saturating_sub(1)));
        let sets = clients.div_ceil(PLACES).max(1);
        let sets = (0..sets).map(|_| Mutex::default()).collect();
        Self { sets, interval, tolerance, begun: OnceLock::new() }
    }

    /// Takes a token of a client now; the error is how long to wait for one.
    pub(super) fn take(&self, client: &impl Hash) -> Result<(), Duration> {
        let (begun, secret) = *self.begun.get_or_init(|| (now(), secret()));
        let mut hasher = DefaultHasher::new();
        (secret, client).hash(&mut hasher);
        let elapsed = now().saturating_duration_since(begun).as_nanos();
        // 584 years.
        self.take_at(hasher.finish(), u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// As [`take`](Self::take), at that time, in nanoseconds.
    fn take_at(&self, key: u64, at: u64) -> Result<(), Duration> {
        #[allow(clippy::cast_possible_truncation)] // below the number of sets
        let index = ((u128::from(key) * self.sets.len() as u128) >> 64) as usize;
        let mut set = self.sets[index].lock();
        let found = set.iter().position(|place| place.key == key && place.full_at > at);
        let place = match found {
            Some(index) => &mut set[index],
            // The bucket with the most tokens: a full one, if there is one.
            None => match set.iter_mut().min_by_key(|place| place.full_at) {
                Some(place) => place,
                None => return Ok(()), // a set has places
            },
        };
        place.key = key;
        let full_at = place.full_at.max(at);
        let early = (full_at - at).saturating_sub(self.tolerance);
        if early > 0 {
            return Err(Duration::from_nanos(early));
        }
        place.full_at = full_at.saturating_add(self.interval);
        Ok(())
    }
}

/// What clients cannot guess. In a simulation its seed determines it.
fn secret() -> u64 {
    if sim::is_simulated() { random_u64() } else { RandomState::new().hash_one(0) }
}

/// The places of a set. Arbitrary: eight fit into two lines of a cache, and hardly ever are all
/// taken while the table as a whole has room.
const PLACES: usize = 8;

/// The longest interval: a century, so that sums of a few do not overflow.
const INTERVAL_MAX: u64 = 100 * 365 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn buckets(interval: u64, burst: u32, clients: usize) -> TokenBuckets {
        TokenBuckets::new(Duration::from_nanos(interval), burst, clients)
    }

    #[test]
    fn a_burst_is_granted_and_then_the_rate() {
        let buckets = buckets(10, 3, 8);
        let mut granted = Vec::new();
        for at in 0..60 {
            if buckets.take_at(1, at).is_ok() {
                granted.push(at);
            }
        }
        assert_eq!(granted, [0, 1, 2, 10, 20, 30, 40, 50]);
        assert_eq!(buckets.take_at(1, 60), Ok(()));
        assert_eq!(buckets.take_at(1, 60), Err(Duration::from_nanos(10)));
        assert_eq!(buckets.take_at(1, 67), Err(Duration::from_nanos(3)));
        assert_eq!(buckets.take_at(1, 1000), Ok(()));
    }

    quickcheck! {
        /// The model has tokens, as fractions of the interval, and one client.
        fn one_client_gets_what_a_bucket_with_tokens_gives(
            interval: u8, burst: u8, steps: Vec<u8>
        ) -> bool {
            let (interval, burst) = (u64::from(interval.max(1)), u32::from(burst.max(1)));
            let buckets = buckets(interval, burst, 1);
            let full = u64::from(burst) * interval;
            let (mut tokens, mut at) = (full, 0);
            steps.into_iter().all(|step| {
                at += u64::from(step % 32);
                tokens = full.min(tokens + u64::from(step % 32));
                let is_granted = tokens >= interval;
                let wait = interval.saturating_sub(tokens);
                tokens -= if is_granted { interval } else { 0 };
                let expected = if is_granted { Ok(()) } else { Err(Duration::from_nanos(wait)) };
                buckets.take_at(7, at) == expected
            })
        }

        /// However clients push each other out, a set never gives more than its places allow.
        fn clients_that_push_each_other_out_gain_nothing(keys: Vec<u16>, burst: u8) -> bool {
            let burst = u32::from(burst % 20).max(1);
            let buckets = buckets(1_000_000, burst, 1);
            let granted = (0..).zip(&keys).filter(|(at, key)| {
                buckets.take_at(u64::from(**key) << 40 | 1, *at).is_ok()
            });
            granted.count() as u64 <= u64::from(burst) * PLACES as u64
        }
    }
}
