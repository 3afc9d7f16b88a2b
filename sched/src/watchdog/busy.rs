//! Whether a shard polls its driver in time.
//!
//! Until it does, the shard serves no new client: it accepts no connection and fires no timer. One
//! fiber may be the reason, or many fibers that keep the thread one after the other. The pulse's
//! count of turns shows both. A shard that waits for events makes no turns either, but its pulse
//! does not beat.

use std::time::{Duration, Instant};

use super::found::Found;

/// The monitor's last look at a shard's turns.
pub(super) struct Turns {
    count: u64,
    /// When the shard was last seen to turn, or to wait for events.
    since: Instant,
    /// The shard was reported as busy, and not as free again.
    is_busy: bool,
    /// When the shard was last seen over the limit.
    over_at: Instant,
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        Self { count: 0, since: now, is_busy: false, over_at: now }
    }

    /// The whole process was stopped until `now`, and not the shard.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.since = now;
    }

    /// Takes another look; returns the change that is to be reported.
    pub(super) fn look(
        &mut self,
        turns: u64,
        is_at_rest: bool,
        limit: Duration,
        now: Instant,
    ) -> Option<Found> {
        if turns != self.count || is_at_rest {
            (self.count, self.since) = (turns, now);
        }
        let time = now - self.since;
        if time >= limit {
            self.over_at = now;
            return (!std::mem::replace(&mut self.is_busy, true)).then_some(Found::Busy(time));
        }
        if self.is_busy && now - self.over_at >= limit.saturating_mul(CALM) {
            self.is_busy = false;
            return Some(Found::Free);
        }
        None
    }
}

/// For how many times the limit a shard must stay below it to count as free again. Arbitrary: a
/// fiber that passes the limit again and again, with pauses in between, must not change the state
/// each time.
pub(crate) const CALM: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    /// Looks every 25 ms; each item is the count of turns and whether the shard waits for events.
    fn reports(looks: impl IntoIterator<Item = (u64, bool)>) -> Vec<(usize, bool)> {
        let mut now = Instant::now();
        let mut turns = Turns::new(now);
        let mut reports = Vec::new();
        for (index, (count, is_at_rest)) in looks.into_iter().enumerate() {
            now += LIMIT / 4;
            match turns.look(count, is_at_rest, LIMIT, now) {
                Some(Found::Busy(time)) => {
                    assert!(time >= LIMIT);
                    reports.push((index, true));
                }
                Some(_) => reports.push((index, false)),
                None => {}
            }
        }
        reports
    }

    #[test]
    fn a_shard_that_turns_or_rests_is_never_busy() {
        assert_eq!(reports((0..1_000).map(|look| (look, false))), []);
        assert_eq!(reports((0..1_000).map(|_| (7, true))), []);
        // It is never seen waiting, and turns just often enough.
        assert_eq!(reports((4..1_000).map(|look| (look / 4, false))), []);
    }

    #[test]
    fn a_shard_that_does_neither_is_reported_once_and_again_after_a_calm_while() {
        let busy = (0..20).map(|_| (7, false));
        let calm = (0..100).map(|look| (8 + look, false));
        assert_eq!(reports(busy.clone().chain(calm)), [(4, true), (59, false)]);
        // Again and again, with half of the calm that is needed.
        let again = (0..10).flat_map(|round| {
            let busy = (0..6).map(move |_| (2 * round + 1, false));
            busy.chain((0..20).map(move |_| (2 * round + 1, true)))
        });
        assert_eq!(reports(again.chain((0..100).map(|_| (99, true)))).len(), 2);
    }
}
