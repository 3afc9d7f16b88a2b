//! Random streams: each is determined by its seed.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of random numbers that its seed determines. It is fast, and not for secrets.
///
/// ```
/// use straightline_sched::sim::Random;
///
/// let (mut one, mut other) = (Random::new(7), Random::new(7));
/// assert_eq!(one.u64(), other.u64());
/// assert!(one.below(6) < 6);
/// ```
#[derive(Clone)]
pub struct Random {
    generator: fastrand::Rng,
}

impl Random {
    /// The stream of that seed.
    pub fn new(seed: u64) -> Self {
        Self { generator: fastrand::Rng::with_seed(seed) }
    }

    /// Another stream, determined by this one's state; this stream goes on.
    ///
    /// ```
    /// use straightline_sched::sim::Random;
    ///
    /// let mut stream = Random::new(7);
    /// assert_ne!(stream.fork().u64(), stream.fork().u64());
    /// ```
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self { generator: self.generator.fork() }
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.generator.u64(..)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    #[track_caller]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.generator.u64(..bound)
    }

    /// A number of `range`.
    ///
    /// # Panics
    ///
    /// If `range` is empty.
    ///
    /// ```
    /// assert_eq!(straightline_sched::sim::Random::new(7).range(4..=4), 4);
    /// ```
    #[track_caller]
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.generator.u64(range)
    }

    /// An index of a list of that length.
    ///
    /// # Panics
    ///
    /// If `length` is 0.
    ///
    /// ```
    /// let coins = ["head", "tail"];
    /// let side = coins[straightline_sched::sim::Random::new(7).index(coins.len())];
    /// assert!(coins.contains(&side));
    /// ```
    #[track_caller]
    pub fn index(&mut self, length: usize) -> usize {
        self.generator.usize(..length)
    }

    /// Whether an event of that probability happens: never at 0, always at 1.
    ///
    /// ```
    /// assert!(straightline_sched::sim::Random::new(7).chance(1.0));
    /// ```
    pub fn chance(&mut self, probability: f64) -> bool {
        self.generator.f64() < probability
    }

    /// A time of `range`, to the nanosecond.
    ///
    /// # Panics
    ///
    /// If `range` is empty.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (least, most) = (Duration::from_millis(1), Duration::from_millis(3));
    /// let pause = straightline_sched::sim::Random::new(7).duration(least..=most);
    /// assert!(least <= pause && pause <= most);
    /// ```
    #[track_caller]
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.range(nanos(range.start())..=nanos(range.end())))
    }

    /// Puts a list into a random order.
    ///
    /// ```
    /// let mut cards = [1, 2, 3];
    /// straightline_sched::sim::Random::new(7).shuffle(&mut cards);
    /// assert_eq!(cards.iter().sum::<u32>(), 6);
    /// ```
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        self.generator.shuffle(list);
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
