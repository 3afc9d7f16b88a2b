//! The tables.

use std::fmt::Write as _;
use std::time::Duration;

use straightline_harness::Histogram;

use super::Kind;
use super::crowd::Times;
use super::idle::Rest;
use super::work::{Round, Work};
use crate::report::median;

/// The table of one kind of work.
pub(super) fn of_work(work: Work, rounds: &[Round]) -> String {
    let unit = work.unit();
    let one = unit.strip_suffix('s').unwrap_or(unit);
    let mut text = format!(
        "### {work}\n\n\
         | server | {unit}/s | {unit}/s of CPU | CPU µs/{one} | CPU ÷ nginx (min..max) | busy \
         | errors |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    );
    for server in Kind::ALL {
        let own: Vec<&Round> = rounds.iter().filter(|round| round.server == server).collect();
        let of = |figure: fn(&Round) -> f64| median(own.iter().map(|&r| figure(r)).collect());
        let errors: u64 = own.iter().map(|round| round.errors).sum();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n| {server} | {:.0} | {:.0} | {:.1} | {} | {:.2} | {errors} |",
            of(Round::rate),
            1e6 / of(Round::cpu_us),
            of(Round::cpu_us),
            ratio(&own, rounds),
            of(Round::busy),
        );
    }
    text
}

/// The CPU time of a unit divided by that of nginx, round by round.
fn ratio(own: &[&Round], all: &[Round]) -> String {
    let ratio = |round: &&Round| {
        let is_base = |base: &&Round| base.server == Kind::Nginx && base.number == round.number;
        Some(round.cpu_us() / all.iter().find(is_base)?.cpu_us())
    };
    let ratios: Vec<f64> = own.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).collect();
    if ratios.is_empty() {
        return "-".to_owned();
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({least:.2}..{most:.2})", median(ratios))
}

/// The table of connections at rest.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
pub(super) fn of_rest(all: &[Rest]) -> String {
    let mut text = "### idle connections\n\n\
                    | server | connections | KiB more | KiB each |\n|---|--:|--:|--:|"
        .to_owned();
    for rest in all {
        let each = rest.grown_kib as f64 / rest.connections as f64;
        let (server, connections, grown) = (rest.server, rest.connections, rest.grown_kib);
        let _ = write!(text, "\n| {server} | {connections} | {grown} | {each:.2} |");
    }
    text
}

/// The table of plain requests, measured for `time` each. The times are medians over the rounds.
pub(super) fn of_crowds(all: &[Times], time: Duration) -> String {
    let mut text = "### plain requests meanwhile\n\n\
                    | server | meanwhile | handshakes/s | busy | p50 µs | p99 µs | p99.9 µs |\n\
                    |---|---|--:|--:|--:|--:|--:|"
        .to_owned();
    let seconds = time.as_secs_f64();
    for one in all {
        let at = |fraction| {
            let of = |round: &Histogram| round.quantile(fraction).as_secs_f64() * 1e6;
            median(one.rounds.iter().map(of).collect())
        };
        let _ = write!(
            text,
            "\n| {} | {} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} |",
            one.server,
            one.crowd.name(),
            one.handshakes / seconds,
            one.busy / seconds,
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    text
}
