//! What was seen, for people (Markdown) and for programs (JSON).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::{Value, json};

use crate::options::Options;

/// What came of one scenario.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static str,
    pub(crate) elapsed: Duration,
    pub(crate) checks: Vec<Check>,
}

/// One thing that was looked at.
pub(crate) struct Check {
    /// What was done before, in words.
    pub(crate) done: String,
    pub(crate) seen: String,
    /// `None` for a figure that nothing is expected of.
    pub(crate) expected: Option<String>,
    pub(crate) held: bool,
}

impl Outcome {
    /// Whether all did. A scenario that looked at nothing has proved nothing.
    pub(crate) fn held(&self) -> bool {
        let mut expectations = self.checks.iter().filter(|check| check.expected.is_some());
        expectations.next().is_some() && self.checks.iter().all(|check| check.held)
    }
}

/// Under which conditions the figures hold: one line.
pub(crate) fn conditions(options: &Options) -> io::Result<String> {
    let build = if cfg!(debug_assertions) { "; debug build" } else { "" };
    let quick = if options.quick { "; quick" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = available_parallelism()?;
    Ok(format!("cores: {cores}; Linux {}; server and load unpinned{quick}{build}", kernel.trim()))
}

/// All checks, in the order in which they were made.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = "| scenario | what was done | figures | expected | held? |\n\
                    |---|---|---|---|---|"
        .to_owned();
    for outcome in outcomes {
        let (mut scenario, mut before) = (outcome.scenario, "");
        for check in &outcome.checks {
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
    let failed = outcomes.iter().filter(|outcome| !outcome.held()).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.elapsed.as_secs_f64()).sum();
    let count = outcomes.len();
    let _ = write!(text, "\n\n{} of {count} scenarios held, in {seconds:.0} s", count - failed);
    text
}

/// The same for programs.
pub(crate) fn json(conditions: &str, outcomes: &[Outcome]) -> Value {
    let check_json = |check: &Check| {
        json!({
            "done": check.done,
            "seen": check.seen,
            "expected": check.expected,
            "held": check.expected.as_ref().map(|_| check.held),
        })
    };
    let outcome_json = |outcome: &Outcome| {
        json!({
            "scenario": outcome.scenario,
            "held": outcome.held(),
            "seconds": outcome.elapsed.as_secs_f64(),
            "checks": outcome.checks.iter().map(check_json).collect::<Vec<_>>(),
        })
    };
    json!({
        "conditions": conditions,
        "held": outcomes.iter().all(Outcome::held),
        "scenarios": outcomes.iter().map(outcome_json).collect::<Vec<_>>(),
    })
}

/// A text that stays within its cell: an error from elsewhere may be of several lines.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(checks: Vec<Check>) -> Outcome {
        Outcome { scenario: "pool", elapsed: Duration::from_secs(1), checks }
    }

    fn check(expected: Option<&str>, held: bool) -> Check {
        let expected = expected.map(str::to_owned);
        Check { done: "asked".to_owned(), seen: "a|b\nc".to_owned(), expected, held }
    }

    #[test]
    fn an_outcome_holds_if_it_looked_and_all_held() {
        assert!(!outcome(Vec::new()).held());
        assert!(!outcome(vec![check(None, true)]).held());
        assert!(outcome(vec![check(None, true), check(Some("x"), true)]).held());
        assert!(!outcome(vec![check(Some("x"), true), check(Some("y"), false)]).held());
    }

    #[test]
    fn a_row_is_one_line_of_five_cells() {
        let table = table(&[outcome(vec![check(Some("x"), false), check(None, true)])]);
        assert!(table.contains("\n| pool | asked | a\\|b c | x | **NO** |\n"), "{table}");
        assert!(table.contains("\n|  |  | a\\|b c | - | - |\n"), "{table}");
        assert!(table.ends_with("0 of 1 scenarios held, in 1 s"), "{table}");
    }
}
