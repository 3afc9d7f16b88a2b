//! This project beside its peers, in many modes: the tables and the plots of `docs/benchmarks.md`.
//!
//! `mode` is what is asked, `peer` who is asked, and `plan` how often. `serve` is the servers and
//! `server` runs them as processes, with the files of `folder`. `load` is the clients. `rounds`,
//! `latency` and `idle` are the three kinds of measurement. `environment` is what the figures
//! depend on, `cli` the flags, and `report` writes all of it as Markdown, JSON and plots.

mod cli;
mod environment;
mod folder;
mod idle;
mod latency;
mod load;
mod mode;
mod peer;
mod plan;
mod report;
mod rounds;
mod serve;
mod server;

use std::io;

pub(crate) use self::cli::{CompareArgs, ServeArgs};
use self::environment::Environment;
use self::folder as files;
use self::mode::Mode;
use self::plan::{Cores, Plan};
use self::report::Results;
use crate::{go, server as processes};

/// Measures everything and writes the results; false if a server failed in it.
fn run(mut plan: Plan, environment: Environment) -> io::Result<bool> {
    processes::raise_descriptor_limit()?;
    let folder = files::new()?;
    plan.leave_out_what_is_missing(go::build(folder.path())?);
    let mut results = Results::new(environment);
    for &cores in &plan.cores {
        cores.pin_load(&plan)?;
        for &mode in &plan.modes {
            if mode == Mode::Idle || (cores == Cores::Two && !mode.is_for_two_cores()) {
                continue;
            }
            results.closed.push(rounds::run(&plan, &folder, mode, cores)?);
        }
        if plan.has_latencies() {
            results.open.push(latency::run(&plan, &folder, cores)?);
        }
    }
    if plan.modes.contains(&Mode::Idle) {
        Cores::One.pin_load(&plan)?;
        results.idle = idle::run(&plan, &folder)?;
    }
    results.environment.finish();
    report::write(&plan, &results)?;
    Ok(results.is_good())
}

/// The body of [`Mode::Streaming`].
const PIECES: usize = 16;
const PIECE_BYTES: usize = 4 * 1024;

/// The length of the file of [`Mode::File`].
const FILE_BYTES: usize = 16 * 1024;
