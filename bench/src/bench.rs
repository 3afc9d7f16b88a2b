//! The rounds of the benchmark.
//!
//! All servers of a mode run at the same time and are loaded in turn: A B C, A B C, … So a slow
//! moment of the machine affects all servers that are compared, and the ratio of two servers within
//! one round suffers less from it than either figure.

use std::io;
use std::time::Duration;

use crate::cpu::{self, Pinning};
use crate::load::{self, Load, Mode};
use crate::serve::Kind;
use crate::server::{self, Server};

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) servers: Vec<Kind>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) rounds: u32,
    /// How long a server is loaded in each round.
    pub(crate) round_time: Duration,
    pub(crate) connections: u16,
    pub(crate) pinning: Pinning,
}

/// The figures of one server in one round.
pub(crate) struct Round {
    pub(crate) mode: Mode,
    pub(crate) server: Kind,
    /// Counts from 1.
    pub(crate) number: u32,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
    /// The CPU time that the server's process spent in the round.
    pub(crate) cpu: Duration,
    pub(crate) latency_p50: Duration,
    pub(crate) latency_p99: Duration,
}

/// Measures one mode. The servers end with it.
pub(crate) fn run(plan: &Plan, mode: Mode) -> io::Result<Vec<Round>> {
    let start = |&kind: &Kind| {
        Server::start(kind, &mut server::command("serve", kind, plan.pinning.server())?)
    };
    let servers = plan.servers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    for server in &servers {
        // Warm up: the page faults, growing tables and cold caches of the start belong to no round.
        load::run(load_of(plan, mode, server, plan.round_time.min(WARM_UP_MAX)))?;
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        for server in &servers {
            let round = measure(plan, mode, server, number)?;
            eprintln!(
                "{mode} {number}/{}: {} {:.0} req/s, {:.2} µs, busy {:.2}",
                plan.rounds,
                round.server,
                round.rate(),
                round.cpu_us(),
                round.busy()
            );
            rounds.push(round);
        }
    }
    Ok(rounds)
}

fn measure(plan: &Plan, mode: Mode, server: &Server<Kind>, number: u32) -> io::Result<Round> {
    let cpu_before = server.cpu_time()?;
    let outcome = load::run(load_of(plan, mode, server, plan.round_time))?;
    let cpu = server.cpu_time()?.saturating_sub(cpu_before);
    if let Some(error) = outcome.first_error {
        eprintln!("{mode} {number}: {}: {} errors: {error}", server.kind(), outcome.errors);
    }
    Ok(Round {
        mode,
        server: server.kind(),
        number,
        requests: outcome.requests,
        errors: outcome.errors,
        elapsed: outcome.elapsed,
        cpu,
        latency_p50: outcome.latencies.quantile(0.5),
        latency_p99: outcome.latencies.quantile(0.99),
    })
}

fn load_of(plan: &Plan, mode: Mode, server: &Server<Kind>, time: Duration) -> Load {
    Load { server: server.address(), mode, connections: plan.connections, time }
}

// A count of requests stays far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
impl Round {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of CPU for each request; infinite if there was none.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// The part of the time that the server was on a CPU.
    pub(crate) fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// Arbitrary: thousands of requests, and short in comparison with a round.
const WARM_UP_MAX: Duration = Duration::from_millis(500);
