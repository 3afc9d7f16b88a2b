//! Times, counted in buckets: the shorter the times, the finer the buckets.
//!
//! Each power of two is divided into [`PARTS`] equal buckets, so a quantile is at most one part in
//! [`PARTS`] above the true value, whether that is a microsecond or a minute. The size is fixed and
//! recording is an increment: it costs the same at the first request and at the billionth.

use std::time::Duration;

/// A distribution of durations.
#[derive(Debug)]
pub struct Histogram {
    /// Indexed as [`bucket_of`] says.
    counts: Box<[u64; BUCKETS]>,
    /// The sum of `counts`.
    total: u64,
}

impl Histogram {
    /// Counts `time`, `times` times.
    pub fn record(&mut self, time: Duration, times: u64) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanoseconds)] += times;
        self.total += times;
    }

    /// The time that `fraction` of all times do not exceed, rounded up to the end of its bucket. It
    /// is zero if no time was recorded.
    pub fn quantile(&self, fraction: f64) -> Duration {
        // Counts stay far below 2^52, where f64 would begin to round.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rank = ((self.total as f64 * fraction).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(last_of(bucket));
            }
        }
        Duration::ZERO
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

/// The bucket of a value: below [`PARTS`] one for each value, and from there [`PARTS`] for each
/// power of two.
fn bucket_of(value: u64) -> usize {
    let doublings = (value | PARTS).ilog2() - PARTS.ilog2();
    // The shifted value lies in PARTS..2 * PARTS, or below PARTS if `doublings` is 0.
    let bucket = u64::from(doublings) * PARTS + (value >> doublings);
    usize::try_from(bucket).expect("below BUCKETS")
}

/// The largest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / PARTS).saturating_sub(1);
    let part = bucket - doublings * PARTS;
    // At the very last bucket the end is 2^64, which wraps to 0 and back.
    ((part + 1) << doublings).wrapping_sub(1)
}

/// Buckets for each power of two; it has to be a power of two. 32 keep the error below 3.2 %.
const PARTS: u64 = 32;

/// Room for every u64: for the values below [`PARTS`], and for the 59 powers of two from there on.
const BUCKETS: usize = 60 * 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(last_of(bucket)), bucket);
            if bucket + 1 < BUCKETS {
                assert_eq!(bucket_of(last_of(bucket) + 1), bucket + 1);
            }
        }
        assert_eq!(last_of(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn a_bucket_is_narrow_for_its_place() {
        for bucket in 1..BUCKETS {
            let (before, last) = (last_of(bucket - 1), last_of(bucket));
            assert!(last - before <= 1 + before / PARTS, "bucket {bucket}: {before}..{last}");
        }
    }

    #[test]
    fn quantiles_lie_at_or_just_above_the_true_ones() {
        let mut histogram = Histogram::default();
        for microseconds in (1..=1000).rev() {
            histogram.record(Duration::from_micros(microseconds), 1);
        }
        for (fraction, truth) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let truth = Duration::from_micros(truth);
            let found = histogram.quantile(fraction);
            assert!(truth <= found && found <= truth + truth / 31, "{fraction}: {found:?}");
        }
    }

    #[test]
    fn many_at_once_count_as_many() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_nanos(7), 99);
        histogram.record(Duration::from_nanos(20), 1);
        assert_eq!(histogram.quantile(0.99), Duration::from_nanos(7));
        assert_eq!(histogram.quantile(1.0), Duration::from_nanos(20));
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
