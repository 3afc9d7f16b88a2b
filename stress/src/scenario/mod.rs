//! Trials of the sample server as a black box: each scenario starts it as a process, does to it
//! what the world does to servers, and compares what it saw with what is documented.
//!
//! - `args` is the command line, `outcome` the table, `progress` the line on a terminal;
//! - `trial` is what a scenario works with; `server` the process, `process` what the kernel says
//!   about it, `metrics` what it says about itself;
//! - `client` speaks raw HTTP on our own fibers, `reply` reads the answers, `body` makes what is
//!   uploaded, `fate` counts what became of whom, `healthy` is a client that does nothing wrong;
//! - every other file is a scenario.
//!
//! Nothing here is expected to be fast. What must come is waited for until the timeout in question
//! and a margin have passed, and what must not come too early is compared with that timeout.

mod args;
mod body;
mod churn;
mod client;
mod descriptors;
mod fate;
mod healthy;
mod keep_alive;
mod large_bodies;
mod memory;
mod metrics;
mod outcome;
mod overload;
mod pauses;
mod pool;
mod process;
mod progress;
mod reply;
mod rolling_stop;
mod runaways;
mod server;
mod short_connections;
mod shutdown;
mod slow_bodies;
mod slow_heads;
mod slow_readers;
mod trial;
mod unread_output;

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use straightline::sched;

pub(crate) use args::{Command, run as run_command};
use outcome::Outcome;
use progress::Progress;
pub(crate) use server::{Bounds, launch};
use trial::Trial;

/// What is tried.
#[derive(Clone, Copy)]
pub(crate) enum Scenario {
    ShortConnections,
    KeepAlive,
    SlowHeads,
    SlowBodies,
    SlowReaders,
    LargeBodies,
    Memory,
    Pool,
    Runaways,
    Descriptors,
    Churn,
    Shutdown,
    Overload,
    Pauses,
    UnreadOutput,
    RollingStop,
}

/// How it is tried.
pub(crate) struct Options {
    server: PathBuf,
    quick: bool,
    connections: Option<usize>,
    seconds: Option<Duration>,
}

/// Runs them in turn, each with servers of its own.
fn run(scenarios: &[Scenario], options: Options) -> io::Result<Vec<Outcome>> {
    let options = Rc::new(options);
    let progress = Rc::new(Progress::new(scenarios.len()));
    let mut outcomes = Vec::new();
    for (done, &scenario) in scenarios.iter().enumerate() {
        progress.begin(done);
        let (options, progress) = (Rc::clone(&options), Rc::clone(&progress));
        let outcome = sched::run(move || {
            let line = Rc::clone(&progress);
            sched::spawn(move || line.tick());
            try_one(scenario, options, progress)
        });
        outcomes.push(outcome?);
    }
    progress.clear();
    Ok(outcomes)
}

/// Runs one; that it fails is an outcome, too.
fn try_one(scenario: Scenario, options: Rc<Options>, progress: Rc<Progress>) -> Outcome {
    let mut trial = Trial::new(scenario.name(), options, progress);
    let result = sched::deadline(SCENARIO_TIME_MAX, || (scenario.body())(&mut trial));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => trial.expect("to go on", error.to_string(), false),
        Err(_) => trial.expect("to end", format!("nothing after {SCENARIO_TIME_MAX:?}"), false),
    }
    trial.into_outcome()
}

impl Scenario {
    const ALL: [Self; 16] = [
        Self::ShortConnections,
        Self::KeepAlive,
        Self::SlowHeads,
        Self::SlowBodies,
        Self::SlowReaders,
        Self::LargeBodies,
        Self::Memory,
        Self::Pool,
        Self::Runaways,
        Self::Descriptors,
        Self::Churn,
        Self::Shutdown,
        Self::Overload,
        Self::Pauses,
        Self::UnreadOutput,
        Self::RollingStop,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ShortConnections => "short-connections",
            Self::KeepAlive => "keep-alive",
            Self::SlowHeads => "slow-heads",
            Self::SlowBodies => "slow-bodies",
            Self::SlowReaders => "slow-readers",
            Self::LargeBodies => "large-bodies",
            Self::Memory => "memory",
            Self::Pool => "pool",
            Self::Runaways => "runaways",
            Self::Descriptors => "descriptors",
            Self::Churn => "churn",
            Self::Shutdown => "shutdown",
            Self::Overload => "overload",
            Self::Pauses => "pauses",
            Self::UnreadOutput => "unread-output",
            Self::RollingStop => "rolling-stop",
        }
    }

    fn body(self) -> fn(&mut Trial) -> io::Result<()> {
        match self {
            Self::ShortConnections => short_connections::run,
            Self::KeepAlive => keep_alive::run,
            Self::SlowHeads => slow_heads::run,
            Self::SlowBodies => slow_bodies::run,
            Self::SlowReaders => slow_readers::run,
            Self::LargeBodies => large_bodies::run,
            Self::Memory => memory::run,
            Self::Pool => pool::run,
            Self::Runaways => runaways::run,
            Self::Descriptors => descriptors::run,
            Self::Churn => churn::run,
            Self::Shutdown => shutdown::run,
            Self::Overload => overload::run,
            Self::Pauses => pauses::run,
            Self::UnreadOutput => unread_output::run,
            Self::RollingStop => rolling_stop::run,
        }
    }
}

impl Options {
    /// One of two, as `--quick` says.
    fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many clients, unless the command line says it.
    fn connections(&self, quick: usize, full: usize) -> usize {
        self.connections.unwrap_or_else(|| self.pick(quick, full))
    }

    /// How long the load lasts, unless the command line says it.
    fn seconds(&self, quick: f64, full: f64) -> Duration {
        self.seconds.unwrap_or_else(|| Duration::from_secs_f64(self.pick(quick, full)))
    }
}

/// The longest `--seconds`, and as much again for everything around the load.
const SCENARIO_TIME_MAX: Duration = Duration::from_secs(1200);
