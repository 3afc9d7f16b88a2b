//! The results of the scenarios, for people (Markdown) and for programs (JSON).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::{Value, json};

use crate::options::Options;

/// The results of one scenario.
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) elapsed: Duration,
    pub(crate) checks: Vec<Check>,
}

/// One comparison of what was seen with what was expected, or one figure.
pub(crate) struct Check {
    /// What the scenario did before the check, in words.
    pub(crate) done: String,
    pub(crate) seen: String,
    /// `None` for a figure without an expectation.
    pub(crate) expected: Option<String>,
    pub(crate) held: bool,
}

impl Report {
    /// Whether there was a check, and all held: a scenario without a check proves nothing.
    pub(crate) fn held(&self) -> bool {
        let mut expectations = self.checks.iter().filter(|check| check.expected.is_some());
        expectations.next().is_some() && self.checks.iter().all(|check| check.held)
    }
}

/// The conditions under which the figures hold: one line.
pub(crate) fn conditions(options: &Options) -> io::Result<String> {
    let build = if cfg!(debug_assertions) { "; debug build" } else { "" };
    let quick = if options.quick { "; quick" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = available_parallelism()?;
    Ok(format!("cores: {cores}; Linux {}; server and load unpinned{quick}{build}", kernel.trim()))
}

/// A table of all checks, in the order in which they were made.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut text = "| scenario | what was done | figures | expected | held? |\n\
                    |---|---|---|---|---|"
        .to_owned();
    for report in reports {
        let (mut scenario, mut before) = (report.scenario, "");
        for check in &report.checks {
            let done = if check.done == before { "" } else { &check.done };
            let expected = check.expected.as_deref().unwrap_or("-");
            let held = match (&check.expected, check.held) {
                (None, _) => "-",
                (Some(_), true) => "yes",
                (Some(_), false) => "**NO**",
            };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n| {scenario} | {} | {} | {} | {held} |",
                cell(done),
                cell(&check.seen),
                cell(expected)
            );
            (scenario, before) = ("", &check.done);
        }
    }
    let failed = reports.iter().filter(|report| !report.held()).count();
    let seconds: f64 = reports.iter().map(|report| report.elapsed.as_secs_f64()).sum();
    let count = reports.len();
    let _ = write!(text, "\n\n{} of {count} scenarios held, in {seconds:.0} s", count - failed);
    text
}

/// All checks as JSON.
pub(crate) fn json(conditions: &str, reports: &[Report]) -> Value {
    let check_json = |check: &Check| {
        json!({
            "done": check.done,
            "seen": check.seen,
            "expected": check.expected,
            "held": check.expected.as_ref().map(|_| check.held),
        })
    };
    let report_json = |report: &Report| {
        json!({
            "scenario": report.scenario,
            "held": report.held(),
            "seconds": report.elapsed.as_secs_f64(),
            "checks": report.checks.iter().map(check_json).collect::<Vec<_>>(),
        })
    };
    json!({
        "conditions": conditions,
        "held": reports.iter().all(Report::held),
        "scenarios": reports.iter().map(report_json).collect::<Vec<_>>(),
    })
}

/// The text in a form that stays within its cell: the text of an error may have several lines.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: Vec<Check>) -> Report {
        Report { scenario: "pool", elapsed: Duration::from_secs(1), checks }
    }

    fn check(expected: Option<&str>, held: bool) -> Check {
        let expected = expected.map(str::to_owned);
        Check { done: "asked".to_owned(), seen: "a|b\nc".to_owned(), expected, held }
    }

    #[test]
    fn a_report_holds_if_there_are_checks_and_all_held() {
        assert!(!report(Vec::new()).held());
        assert!(!report(vec![check(None, true)]).held());
        assert!(report(vec![check(None, true), check(Some("x"), true)]).held());
        assert!(!report(vec![check(Some("x"), true), check(Some("y"), false)]).held());
    }

    #[test]
    fn a_row_is_one_line_of_five_cells() {
        let table = table(&[report(vec![check(Some("x"), false), check(None, true)])]);
        assert!(table.contains("\n| pool | asked | a\\|b c | x | **NO** |\n"), "{table}");
        assert!(table.contains("\n|  |  | a\\|b c | - | - |\n"), "{table}");
        assert!(table.ends_with("0 of 1 scenarios held, in 1 s"), "{table}");
    }
}
