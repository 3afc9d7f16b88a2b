//! The measurements one after the other.

use std::io;

use super::environment::Environment;
use super::mode::Mode;
use super::plan::{Cores, Plan};
use super::report::{self, Results};
use super::{folder, idle, latency, rounds};
use crate::{go, server as processes};

/// Measures everything and writes the results; false if a server failed in it.
pub(super) fn run(mut plan: Plan, environment: Environment) -> io::Result<bool> {
    processes::raise_descriptor_limit()?;
    let folder = folder::new()?;
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
