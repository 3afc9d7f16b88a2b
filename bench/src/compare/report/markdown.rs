//! The Markdown: the conditions, an overview, and a table for each mode.

use std::fmt::Write as _;

use super::results::Results;
use super::summary::{self, QUANTILES, Row, Times};
use crate::compare::latency::Open;
use crate::compare::mode::Mode;
use crate::compare::peer::Peer;
use crate::compare::plan::{Cores, Plan};
use crate::compare::rounds::Closed;

/// Everything. A heading has three hashes: the page has the higher ones.
pub(super) fn whole(plan: &Plan, results: &Results) -> String {
    let mut parts = vec![conditions(plan, results)];
    if !results.closed.is_empty() {
        parts.push(format!("![{COST_PLOT}][plot-cost]"));
        parts.push(overview(plan, results));
        parts.push(ahead(results));
    }
    if !results.open.is_empty() {
        parts.push(format!("![{LATENCY_PLOT}][plot-latency]"));
        parts.extend(results.open.iter().map(at_rates));
    }
    parts.extend(results.closed.iter().map(of_mode));
    if !results.idle.is_empty() {
        parts.push(idle(results));
    }
    parts.join("\n\n")
}

fn conditions(plan: &Plan, results: &Results) -> String {
    let environment = &results.environment;
    let versions: Vec<String> =
        environment.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "```sh\n{}\n```\n\n\
         | what | |\n|---|---|\n\
         | date | {} |\n\
         | processor | {} |\n\
         | system | {} |\n\
         | compiler | {} |\n\
         | versions | {} |\n\
         | rounds | {} of {:?} a server and mode, {} clients |\n\
         | CPUs | {} |\n\
         | load average | {}; the benchmark itself is up to two of it |",
        environment.command,
        environment.date,
        environment.processor,
        environment.system,
        environment.compiler,
        versions.join(", "),
        plan.rounds,
        plan.round_time,
        plan.clients,
        plan.pinning,
        environment.load_averages(),
    )
}

/// The ratios of all modes with one core, a line for each server.
fn overview(plan: &Plan, results: &Results) -> String {
    let all = || results.closed.iter().filter(|closed| closed.cores == Cores::One);
    let mut text = "### CPU time of a request, as a multiple of this project's\n\n\
                    One core. `–`: the server does not offer that mode.\n\n| server |"
        .to_owned();
    for closed in all() {
        // Writing to a string cannot fail.
        let _ = write!(text, " {} |", closed.mode);
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(all().count()));
    for &peer in &plan.peers {
        let _ = write!(text, "\n| {peer} |");
        for closed in all() {
            let row = summary::rows(closed).into_iter().find(|row| row.peer == peer);
            let ratio = row.map_or(f64::NAN, |row| row.ratio.median);
            let _ = write!(text, " {} |", figure(ratio, 2));
        }
    }
    text
}

/// Who needed less CPU time than this project, whether clearly or not.
fn ahead(results: &Results) -> String {
    let mut text =
        "### Who needed less CPU time\n\nThe floor does not count: it is no server.\n".to_owned();
    let mut is_none = true;
    for closed in &results.closed {
        for Row { peer, ratio, .. } in summary::rows(closed) {
            let is_peer =
                !matches!(peer, Peer::Straightline | Peer::StraightlineAgain | Peer::Floor);
            if is_peer && ratio.median < 0.995 {
                let sure = if ratio.most < 1.0 { "in each round" } else { "the range has 1 in it" };
                let (mode, cores) = (closed.mode, cores_of(closed.cores));
                let _ = write!(text, "\n- {mode}, {cores}: {peer}, {}; {sure}", ratio_text(ratio));
                is_none = false;
            }
        }
    }
    if is_none {
        text.push_str("\nNone.");
    }
    text
}

fn of_mode(closed: &Closed) -> String {
    let mut text = format!(
        "### {}, {}\n\n{}\n\n\
         | server | requests/s | CPU µs/request | CPU ÷ straightline (min..max) | busy \
         | MiB resident | errors |\n|---|--:|--:|--:|--:|--:|--:|",
        closed.mode,
        cores_of(closed.cores),
        closed.mode.explained()
    );
    for row in summary::rows(closed) {
        let _ = write!(
            text,
            "\n| {} | {} | {} | {} | {} | {} | {} |",
            row.peer,
            figure(row.rate, 0),
            figure(row.cpu_us, 2),
            ratio_text(row.ratio),
            figure(row.busy, 2),
            figure(row.resident_mib, 1),
            row.errors,
        );
    }
    text
}

fn at_rates(open: &Open) -> String {
    let mut text = format!(
        "### Latency at fixed rates, {}\n\n\
         Plaintext. A time counts from when the request was due. \"late\" is the p99 of how much \
         later the generator wrote it, which is in the times. An error is a request without \
         response.\n\n\
         | server | requests/s |",
        cores_of(open.cores)
    );
    for (_, name) in QUANTILES {
        let _ = write!(text, " {name} µs |");
    }
    text.push_str(" late µs | CPU µs/request | errors |\n|---|--:|--:|--:|--:|--:|--:|--:|");
    for Times { peer, rate, latency_us, lateness_us, cpu_us, errors } in summary::times(open) {
        let _ = write!(text, "\n| {peer} | {rate} |");
        for us in latency_us {
            let _ = write!(text, " {} |", figure(us, 0));
        }
        let (lateness, cpu) = (figure(lateness_us, 0), figure(cpu_us, 2));
        let _ = write!(text, " {lateness} | {cpu} | {errors} |");
    }
    text
}

#[allow(clippy::cast_precision_loss)] // KiB stay far below 2^52
fn idle(results: &Results) -> String {
    let mut text = format!(
        "### idle\n\n{}\n\n\
         | server | connections | MiB more | KiB each | CPU ms in a second of rest |\n\
         |---|--:|--:|--:|--:|",
        Mode::Idle.explained()
    );
    for row in &results.idle {
        let kib = row.kib as f64;
        let _ = write!(
            text,
            "\n| {} | {} | {:.1} | {:.2} | {:.1} |",
            row.peer,
            row.connections,
            kib / 1024.0,
            kib / row.connections as f64,
            row.cpu.as_secs_f64() * 1e3
        );
    }
    text
}

pub(super) fn cores_of(cores: Cores) -> &'static str {
    match cores {
        Cores::One => "one core",
        Cores::Two => "two cores, the load beside the server",
    }
}

fn ratio_text(ratio: summary::Ratio) -> String {
    if !ratio.median.is_finite() {
        return "–".to_owned();
    }
    format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.least, ratio.most)
}

/// A value, or a dash if there is none.
fn figure(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}

const COST_PLOT: &str = "Bars: the CPU time of a request in each mode, as a multiple of this \
                         project's, and the memory of an idle connection. The tables below have \
                         the same figures.";

const LATENCY_PLOT: &str = "Curves: the latency at fixed rates, p50, p99 and p99.9. The table \
                            below has the same figures.";
