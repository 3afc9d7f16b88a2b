//! The results of the rounds, for people (Markdown) and for programs (JSON).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Plan, Round};
use crate::cpu::Pinning;
use crate::load::Mode;
use crate::serve::Kind;

/// The conditions under which the figures hold: one line. The number of cores is right only before
/// the load pins itself.
pub(crate) fn conditions(plan: &Plan) -> io::Result<String> {
    let common = conditions_of(plan.rounds, plan.round_time, plan.pinning)?;
    Ok(format!("connections: {}; {common}", plan.connections))
}

/// The conditions of a benchmark with rounds.
pub(crate) fn conditions_of(rounds: u32, time: Duration, pinning: Pinning) -> io::Result<String> {
    Ok(format!("rounds: {rounds} of {time:?} a server; {}", machine(pinning)?))
}

/// The conditions that all benchmarks have.
pub(crate) fn machine(pinning: Pinning) -> io::Result<String> {
    let build = if cfg!(debug_assertions) { "; DEBUG BUILD: the figures mean nothing" } else { "" };
    let (cores, kernel) = (available_parallelism()?, kernel()?);
    Ok(format!("cores: {cores}; Linux {kernel}; {pinning}{build}"))
}

/// The table of one mode.
pub(crate) fn table(plan: &Plan, mode: Mode, rounds: &[Round]) -> String {
    let mut text = format!(
        "### {mode}\n\n\
         | server | req/s | CPU µs/req | CPU ÷ {BASE} (min..max) | busy | p50 µs | p99 µs \
         | errors |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|"
    );
    for &server in &plan.servers {
        let own: Vec<&Round> = rounds.iter().filter(|round| round.server == server).collect();
        let median_of =
            |of: fn(&Round) -> f64| median(own.iter().map(|&round| of(round)).collect());
        let errors: u64 = own.iter().map(|round| round.errors).sum();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n| {server} | {} | {} | {} | {} | {} | {} | {errors} |",
            figure(median_of(Round::rate), 0),
            figure(median_of(Round::cpu_us), 2),
            ratio_to_base(&own, rounds),
            figure(median_of(Round::busy), 2),
            figure(median_of(|round| round.latency_p50.as_secs_f64() * 1e6), 0),
            figure(median_of(|round| round.latency_p99.as_secs_f64() * 1e6), 0),
        );
    }
    text
}

/// Writes the raw rounds.
pub(crate) fn write_json(mut file: File, conditions: &str, rounds: &[Round]) -> io::Result<()> {
    let rounds: Vec<Value> = rounds.iter().map(round_json).collect();
    let whole = json!({ "conditions": conditions, "rounds": rounds });
    writeln!(file, "{whole:#}")
}

fn round_json(round: &Round) -> Value {
    json!({
        "mode": round.mode.to_string(),
        "round": round.number,
        "server": round.server.to_string(),
        "requests": round.requests,
        "errors": round.errors,
        "seconds": round.elapsed.as_secs_f64(),
        "requests_per_second": round.rate(),
        "cpu_seconds": round.cpu.as_secs_f64(),
        "cpu_us_per_request": round.cpu_us(),
        "busy": round.busy(),
        "latency_p50_us": round.latency_p50.as_secs_f64() * 1e6,
        "latency_p99_us": round.latency_p99.as_secs_f64() * 1e6,
    })
}

/// The CPU time of a request divided by that of the base, round by round.
fn ratio_to_base(own: &[&Round], all: &[Round]) -> String {
    let base = |round: &&Round| {
        let base = all.iter().find(|b| b.server == BASE && b.number == round.number);
        base.map_or(f64::NAN, Round::cpu_us)
    };
    let figures: Vec<f64> = own.iter().map(|round| round.cpu_us()).collect();
    ratios(&figures, &own.iter().map(base).collect::<Vec<_>>())
}

/// The figures of some rounds divided by those of the base in the same rounds: the median, and the
/// range. A dash if there is none.
pub(crate) fn ratios(own: &[f64], base: &[f64]) -> String {
    let ratios = own.iter().zip(base).map(|(own, base)| own / base);
    let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
    if ratios.is_empty() {
        return "-".to_owned();
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({least:.2}..{most:.2})", median(ratios))
}

/// A value, or a dash if there was no request to compute it from.
fn figure(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "-".to_owned() }
}

/// The middle of the values, or the mean of the middle two; NaN if there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

fn kernel() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end().to_owned())
}

/// The server that the others are compared with.
const BASE: Kind = Kind::Floor;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let same = |found: f64, expected: f64| (found - expected).abs() < f64::EPSILON;
        assert!(same(median(vec![3.0]), 3.0));
        assert!(same(median(vec![9.0, 1.0, 2.0]), 2.0));
        assert!(same(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0));
        assert!(median(Vec::new()).is_nan());
    }
}
