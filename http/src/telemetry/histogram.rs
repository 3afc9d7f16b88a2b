//! How long requests took, in buckets.
//!
//! A bucket begins at a power of two of nanoseconds, or at a quarter, a half or three quarters of
//! the way to the next power of two. So a quantile is at most a quarter too large, and the bucket
//! of a duration is found without a search.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Written by one thread, readable from every other thread.
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

/// How long requests took, from the end of their heads until their responses were handed to the
/// system. If a connection's responses leave together, all of them count as long as the slowest.
///
/// ```
/// use straightline::{Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hi\n")?;
/// let latencies = server.handle().metrics().latencies;
/// println!("99 of 100 within {:?}, of {}", latencies.quantile(0.99), latencies.count());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Latencies {
    buckets: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Histogram {
    /// Counts `count` requests that took `duration`. Only the owning thread may call it.
    #[cfg(test)]
    pub(crate) fn record(&self, duration: Duration, count: u64) {
        self.record_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), count);
    }

    /// As [`record`](Self::record).
    #[inline]
    pub(crate) fn record_nanos(&self, nanos: u64, count: u64) {
        let add = |number: &AtomicU64, more: u64| {
            number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(&self.buckets[bucket_of(nanos)], count);
        add(&self.sum_nanos, nanos.saturating_mul(count));
    }

    /// Adds its counts to `latencies`.
    pub(crate) fn add_to(&self, latencies: &mut Latencies) {
        for (sum, bucket) in latencies.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        let sum = latencies.sum_nanos.wrapping_add(self.sum_nanos.load(Ordering::Relaxed));
        latencies.sum_nanos = sum;
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_nanos: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// How many requests there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long all requests took together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The time within which the fraction `part` of the requests was answered (0.5 for the median),
    /// rounded up by at most a quarter; zero if there were no requests.
    pub fn quantile(&self, part: f64) -> Duration {
        let count = self.count();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        #[allow(clippy::cast_sign_loss)] // a rank among counts; a part below 0 is the first
        let rank = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return Duration::from_nanos(end_of(index));
            }
        }
        Duration::ZERO
    }

    /// How many requests took less than 2^17 ns (0.13 ms), 2^18 ns, and so on up to 2^36 ns (69 s).
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut seen = 0;
        let all = self.buckets.iter().enumerate().map(move |(index, bucket)| {
            seen += bucket;
            (end_of(index), seen)
        });
        all.filter(|(end, _)| end.is_power_of_two() && (17..=36).contains(&end.ilog2()))
            .map(|(end, seen)| (Duration::from_nanos(end), seen))
    }
}

#[cfg(feature = "_tls")]
impl Latencies {
    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)] += 1;
        self.sum_nanos = self.sum_nanos.wrapping_add(nanos);
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_nanos: 0 }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latencies")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}

fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.clamp(1 << LOWEST, (1 << HIGHEST) - 1);
    let power = nanos.ilog2();
    let quarter = (nanos >> (power - 2)) & 3;
    ((power - LOWEST) * 4) as usize + usize::try_from(quarter).unwrap_or(0)
}

/// The first number of nanoseconds after the bucket.
fn end_of(bucket: usize) -> u64 {
    let (power, quarter) = (bucket / 4 + LOWEST as usize, bucket % 4);
    (5 + quarter as u64) << (power - 2)
}

/// Everything below 2^11 ns (2 µs) is in the first bucket.
const LOWEST: u32 = 10;
/// Everything from 2^42 ns (73 minutes) on is in the last one.
const HIGHEST: u32 = 42;
const BUCKETS: usize = (HIGHEST - LOWEST) as usize * 4;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn latencies(durations: &[Duration]) -> Latencies {
        let histogram = Histogram::default();
        durations.iter().for_each(|duration| histogram.record(*duration, 1));
        let mut latencies = Latencies::default();
        histogram.add_to(&mut latencies);
        latencies
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        let latencies = latencies(&[Duration::ZERO, Duration::MAX, Duration::from_secs(1)]);
        assert_eq!(latencies.count(), 3);
        assert_eq!(latencies.quantile(0.0), Duration::from_nanos(1_280));
        assert_eq!(latencies.quantile(1.0), Duration::from_nanos(1 << 42));
        assert_eq!(Latencies::default().quantile(0.5), Duration::ZERO);
    }

    quickcheck! {
        fn a_quantile_is_at_most_a_quarter_too_large(numbers: Vec<u32>, part: u8) -> bool {
            let micros = |number: &u32| Duration::from_micros(u64::from(number % 3_000_000) + 2);
            let mut durations: Vec<_> = numbers.iter().map(micros).collect();
            let latencies = latencies(&durations);
            durations.sort();
            let part = f64::from(part) / 255.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            #[allow(clippy::cast_precision_loss)]
            let rank = ((durations.len() as f64 * part).ceil() as usize).max(1);
            match durations.get(rank - 1) {
                None => latencies.count() == 0,
                Some(exact) => {
                    let estimate = latencies.quantile(part);
                    estimate > *exact && estimate <= *exact * 5 / 4
                }
            }
        }

        fn cumulative_counts_are_those_below_their_bounds(millis: Vec<u32>) -> bool {
            let durations: Vec<_> =
                millis.iter().map(|n| Duration::from_micros(u64::from(*n % 90_000_000))).collect();
            latencies(&durations).cumulative().all(|(bound, count)| {
                count == durations.iter().filter(|duration| **duration < bound).count() as u64
            })
        }
    }
}
