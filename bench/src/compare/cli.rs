//! The flags of `compare`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use straightline_harness::cli::seconds;

use super::environment::Environment;
use super::mode::Mode;
use super::peer::Peer;
use super::plan::{Cores, Plan};
use super::run;
use super::serve::{self, Setup};
use crate::cpu::Pinning;
use crate::flags::{CONNECTIONS_MAX, ROUNDS_MAX, chosen};

#[derive(Args)]
pub(crate) struct CompareArgs {
    /// How often each server is loaded
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// How long a server is loaded each time
    #[arg(long, value_name = "S", default_value = "0.7", value_parser = seconds)]
    seconds: Duration,
    /// One round of 0.1 s: shows that everything works; the figures mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "rates", "idle", "write"])]
    quick: bool,
    /// Clients at a time
    #[arg(long, value_name = "C", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    clients: u16,
    /// Requests a second of the open loop, separated by commas
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    #[arg(default_value = "10000,25000,50000,75000")]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000_000))]
    rates: Vec<u32>,
    /// How many connections rest
    #[arg(long, value_name = "C", default_value = "10000")]
    #[arg(value_parser = value_parser!(u16).range(10..=CONNECTIONS_MAX))]
    idle: u16,
    /// The servers, separated by commas [default: all that are installed]
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    only: Vec<Peer>,
    /// The modes, separated by commas [default: all]
    #[arg(long, value_name = "MODES", value_delimiter = ',')]
    mode: Vec<Mode>,
    /// Leaves out the servers with two threads
    #[arg(long)]
    one_core: bool,
    /// The folder of the page benchmarks.md, whose tables and plots are replaced
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Where to write the raw rounds
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CompareArgs {
    /// Measures; false if a server failed.
    pub(crate) fn run(self) -> io::Result<bool> {
        let environment = Environment::read();
        let mut rates = if self.quick { QUICK_RATES.to_vec() } else { self.rates };
        rates.sort_unstable();
        rates.dedup();
        let plan = Plan {
            peers: chosen(self.only),
            modes: chosen(self.mode),
            cores: if self.one_core { vec![Cores::One] } else { vec![Cores::One, Cores::Two] },
            rates,
            rounds: if self.quick { 1 } else { self.rounds },
            round_time: if self.quick { QUICK_TIME } else { self.seconds },
            clients: self.clients,
            idle: if self.quick { QUICK_IDLE } else { usize::from(self.idle) },
            pinning: Pinning::choose()?,
            write: self.write,
            json: self.json,
        };
        run::run(plan, environment)
    }
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    #[arg(value_enum)]
    peer: Peer,
    #[arg(value_enum)]
    mode: Mode,
    /// Where the files are
    folder: PathBuf,
    #[arg(long)]
    threads: usize,
    /// Where a server listens that cannot choose itself
    #[arg(long)]
    port: u16,
    /// A CPU to stay on; again for another one
    #[arg(long)]
    cpu: Vec<usize>,
}

impl ServeArgs {
    /// Is a server until the process is killed.
    pub(crate) fn run(&self) -> io::Result<()> {
        let setup =
            Setup { mode: self.mode, folder: &self.folder, threads: self.threads, port: self.port };
        serve::run(self.peer, &setup, &self.cpu)
    }
}

/// Arbitrary: long enough for some hundred requests.
const QUICK_TIME: Duration = Duration::from_millis(100);

const QUICK_RATES: [u32; 1] = [2_000];

const QUICK_IDLE: usize = 100;
