//! The results, for people (Markdown, plots) and for programs (JSON).
//!
//! `results` is what all of it is made from. `summary` makes one row for each server out of its
//! rounds. `markdown`, `json` and `plots` write the rows; `page` puts them where the pages of the
//! repository show them.

mod json;
mod markdown;
mod page;
mod plots;
mod results;
mod summary;
mod svg;

use std::fs::File;
use std::io::{self, Write};

pub(super) use self::results::Results;
use super::plan::Plan;

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
