//! The list of the scenarios. Each has a file of its own.

mod churn;
mod descriptors;
mod keep_alive;
mod large_bodies;
mod memory;
mod overload;
mod pauses;
mod pool;
mod rolling_stop;
mod runaways;
mod short_connections;
mod shutdown;
mod slow_bodies;
mod slow_heads;
mod slow_readers;
#[cfg(feature = "tls")]
mod tls;
mod unread_output;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use straightline::sched;

use crate::options::Options;
use crate::progress::Progress;
use crate::report::Report;
use crate::trial::Trial;

/// A scenario, by its name.
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
    #[cfg(feature = "tls")]
    Tls,
}

/// Runs scenarios in turn, each with servers of its own.
pub(crate) fn run(scenarios: &[Scenario], options: Options) -> io::Result<Vec<Report>> {
    let options = Rc::new(options);
    let progress = Rc::new(Progress::new(scenarios.len()));
    let mut reports = Vec::new();
    for (done, &scenario) in scenarios.iter().enumerate() {
        progress.begin(done);
        let (options, progress) = (Rc::clone(&options), Rc::clone(&progress));
        let report = sched::run_with(sched::Config::default(), move || {
            let line = Rc::clone(&progress);
            sched::spawn(move || line.tick());
            try_one(scenario, options, progress)
        });
        reports.push(report?);
    }
    progress.clear();
    Ok(reports)
}

/// Runs one scenario. A failure of the scenario itself is a check that did not hold.
fn try_one(scenario: Scenario, options: Rc<Options>, progress: Rc<Progress>) -> Report {
    let mut trial = Trial::new(scenario.name(), options, progress);
    let result = sched::deadline(SCENARIO_TIME_MAX, || (scenario.body())(&mut trial));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => trial.expect("no error", error.to_string(), false),
        Err(_) => trial.expect("an end", format!("none after {SCENARIO_TIME_MAX:?}"), false),
    }
    trial.into_report()
}

impl Scenario {
    pub(crate) const ALL: &[Self] = &[
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
        #[cfg(feature = "tls")]
        Self::Tls,
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
            #[cfg(feature = "tls")]
            Self::Tls => "tls",
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
            #[cfg(feature = "tls")]
            Self::Tls => tls::run,
        }
    }
}

/// Twice the longest `--seconds`: the second half is for everything around the load.
const SCENARIO_TIME_MAX: Duration = Duration::from_secs(1200);
