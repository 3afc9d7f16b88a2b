//! How often shards may be renewed because a handler panicked.
//!
//! A handler that panics at each request must not cost a new thread at each request. So the first
//! renewal is at once, and each further one waits longer. Meanwhile the shard goes on. The pause is
//! short again once no renewal was wanted for a while.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The renewals of a server's shards.
#[derive(Debug)]
pub(crate) struct Renewals(Mutex<State>);

#[derive(Debug)]
struct State {
    next_at: Option<Instant>,
    pause: Duration,
    /// How many shards were renewed.
    count: u64,
    /// How many connections were force-closed at the end of their drains.
    force_closed: u64,
}

impl Renewals {
    /// Permits a renewal; an error is the time until the next one is permitted.
    pub(crate) fn permit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.0.lock();
        let left = state.next_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        if !left.is_zero() {
            return Err(left);
        }
        if state.next_at.is_some_and(|at| now.saturating_duration_since(at) >= QUIET) {
            state.pause = PAUSE_MIN;
        }
        state.next_at = Some(now + state.pause);
        state.pause = (state.pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    /// A shard was renewed.
    pub(crate) fn record(&self) {
        self.0.lock().count += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// The drain of a renewed shard has force-closed so many connections.
    pub(crate) fn record_force_closed(&self, connections: u64) {
        self.0.lock().force_closed += connections;
    }

    pub(crate) fn force_closed(&self) -> u64 {
        self.0.lock().force_closed
    }
}

impl Default for Renewals {
    fn default() -> Self {
        let state = State { next_at: None, pause: PAUSE_MIN, count: 0, force_closed: 0 };
        Self(Mutex::new(state))
    }
}

/// The first pause between two renewals. Arbitrary: a shard takes some milliseconds to start.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause. Arbitrary: what a shard costs in a minute is not noticed.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// After how long without a renewal the pause is short again.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_become_rare_and_are_quick_again_after_a_quiet_time() {
        let (renewals, begin) = (Renewals::default(), Instant::now());
        let at = |seconds| renewals.permit(begin + Duration::from_secs(seconds));
        let permitted: Vec<_> = (0..300).filter(|second| at(*second).is_ok()).collect();
        assert_eq!(permitted, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        assert_eq!(at(302), Err(Duration::from_secs(1)));
        assert_eq!(at(1_000), Ok(()));
        assert_eq!(at(1_000), Err(Duration::from_secs(1)));
        assert_eq!(at(1_001), Ok(()));
    }
}
