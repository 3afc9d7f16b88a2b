//! Points in time as a shard keeps them: one word instead of an `Instant`'s two.

use std::time::{Duration, Instant};

/// Nanoseconds since the shard's start; enough for 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    /// Later than every point in time: never.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// That much later, but before [`NEVER`](Self::NEVER).
    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos).min(u64::MAX - 1))
    }

    /// From a point in time after `start`; an earlier one counts as the start.
    pub(crate) fn of(at: Instant, start: Instant) -> Self {
        let since = at.saturating_duration_since(start);
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1))
    }

    /// The point in time that it stands for.
    pub(crate) fn instant(self, start: Instant) -> Instant {
        start + Duration::from_nanos(self.0)
    }

    /// `None` for [`NEVER`](Self::NEVER).
    pub(crate) fn ever(self) -> Option<Self> {
        (self != Self::NEVER).then_some(self)
    }

    pub(crate) fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
