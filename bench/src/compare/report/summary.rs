//! One row for each server: the medians of its rounds, and its ratios to this project.

use crate::compare::latency::{self, Open};
use crate::compare::peer::Peer;
use crate::compare::rounds::{Closed, Round};
use crate::report::median;

/// The figures of one server in one mode.
pub(super) struct Row {
    pub(super) peer: Peer,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) cpu_us: f64,
    /// The CPU time of a request divided by that of this project in the same round.
    pub(super) ratio: Ratio,
    pub(super) busy: f64,
    pub(super) resident_mib: f64,
    pub(super) errors: u64,
}

/// The median of the ratios of the rounds, and the range; NaN if there is none.
#[derive(Clone, Copy)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// The figures of one server at one rate.
pub(super) struct Times {
    pub(super) peer: Peer,
    pub(super) rate: u32,
    /// Microseconds: the median, p99 and p99.9 of a round; of each the median over the rounds.
    pub(super) latency_us: [f64; QUANTILES.len()],
    /// The p99 of how late the generator was.
    pub(super) lateness_us: f64,
    pub(super) cpu_us: f64,
    pub(super) errors: u64,
}

/// The servers of a mode, in the order of the plan.
#[allow(clippy::cast_precision_loss)] // KiB stay far below 2^52
pub(super) fn rows(closed: &Closed) -> Vec<Row> {
    let base = of(&closed.rounds, Peer::Straightline);
    let row = |&peer: &Peer| {
        let own = of(&closed.rounds, peer);
        let middle = |figure: fn(&Round) -> f64| median(own.iter().map(|&r| figure(r)).collect());
        Row {
            peer,
            rate: middle(Round::rate),
            cpu_us: middle(Round::cpu_us),
            ratio: Ratio::of(&own, &base),
            busy: middle(Round::busy),
            resident_mib: middle(|round| round.resident_kib as f64 / 1024.0),
            errors: own.iter().map(|round| round.outcome.errors).sum(),
        }
    };
    peers(closed.rounds.iter().map(|round| round.peer)).iter().map(row).collect()
}

/// The servers at each rate.
#[allow(clippy::cast_precision_loss)] // a count of requests stays far below 2^52
pub(super) fn times(open: &Open) -> Vec<Times> {
    let mut all = Vec::new();
    for peer in peers(open.rounds.iter().map(|round| round.peer)) {
        let mut own: Vec<&latency::Round> =
            open.rounds.iter().filter(|round| round.peer == peer).collect();
        own.sort_by_key(|round| round.rate);
        for same in own.chunk_by(|a, b| a.rate == b.rate) {
            let middle = |figure: &dyn Fn(&latency::Round) -> f64| {
                median(same.iter().map(|&round| figure(round)).collect())
            };
            let us = |time: std::time::Duration| time.as_secs_f64() * 1e6;
            all.push(Times {
                peer,
                rate: same[0].rate,
                latency_us: QUANTILES.map(|(quantile, _)| {
                    middle(&|round| us(round.outcome.latencies.quantile(quantile)))
                }),
                lateness_us: middle(&|round| us(round.outcome.lateness.quantile(0.99))),
                cpu_us: middle(&|round| us(round.outcome.cpu) / round.outcome.requests as f64),
                errors: same.iter().map(|round| round.outcome.errors).sum(),
            });
        }
    }
    all
}

fn of(rounds: &[Round], peer: Peer) -> Vec<&Round> {
    rounds.iter().filter(|round| round.peer == peer).collect()
}

/// Each once, in the order of the first appearance.
fn peers(all: impl Iterator<Item = Peer>) -> Vec<Peer> {
    let mut once = Vec::new();
    for peer in all {
        if !once.contains(&peer) {
            once.push(peer);
        }
    }
    once
}

impl Ratio {
    fn of(own: &[&Round], base: &[&Round]) -> Self {
        let ratio = |round: &&Round| {
            let base = base.iter().find(|base| base.number == round.number)?;
            let ratio = round.cpu_us() / base.cpu_us();
            // A round without requests has no figure.
            Some(ratio).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        };
        Self::among(own.iter().filter_map(ratio).collect())
    }

    fn among(ratios: Vec<f64>) -> Self {
        let least = ratios.iter().copied().fold(f64::NAN, f64::min);
        let most = ratios.iter().copied().fold(f64::NAN, f64::max);
        Self { median: median(ratios), least, most }
    }
}

/// The quantiles of the latencies, and their names.
pub(super) const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_has_its_range() {
        let ratio = Ratio::among(vec![1.5, 1.0, 4.0]);
        let found = [ratio.median, ratio.least, ratio.most].map(|value| format!("{value:.1}"));
        assert_eq!(found, ["1.5", "1.0", "4.0"]);
        assert!(Ratio::among(Vec::new()).least.is_nan());
    }
}
