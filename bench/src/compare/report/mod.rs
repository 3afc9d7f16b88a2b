//! The results, for people (Markdown, plots) and for programs (JSON).
//!
//! `summary` makes one row for each server out of its rounds. `markdown`, `json` and `plots` write
//! the rows; `page` puts them where the pages of the repository show them.

mod json;
mod markdown;
mod page;
mod plots;
mod summary;
mod svg;

use std::fs::File;
use std::io::{self, Write};

use super::environment::Environment;
use super::idle::Idle;
use super::latency::Open;
use super::plan::Plan;
use super::rounds::Closed;

/// All results of a run.
pub(super) struct Results {
    pub(super) environment: Environment,
    pub(super) closed: Vec<Closed>,
    pub(super) open: Vec<Open>,
    pub(super) idle: Vec<Idle>,
}

impl Results {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, closed: Vec::new(), open: Vec::new(), idle: Vec::new() }
    }

    /// Whether each server gave the expected responses and no other ones in the closed loops. In
    /// the open ones a server that is too slow for a rate is a result and no failure.
    pub(super) fn is_good(&self) -> bool {
        let mut rounds = self.closed.iter().flat_map(|closed| &closed.rounds);
        rounds.all(|round| round.outcome.requests > 0 && round.outcome.errors == 0)
    }
}

/// Prints the Markdown, and writes the files that the plan asks for.
pub(super) fn write(plan: &Plan, results: &Results) -> io::Result<()> {
    let text = markdown::whole(plan, results);
    println!("{text}");
    if let Some(path) = &plan.json {
        writeln!(File::create(path)?, "{:#}", json::rounds(plan, results))?;
    }
    match &plan.write {
        Some(folder) => page::write(folder, &text, &json::summaries(plan, results), results),
        None => Ok(()),
    }
}
