//! Clients that ask again and again: what a request costs.
//!
//! All servers of a mode run at the same time and are loaded in turn: A B C, A B C, … A ratio is
//! made within a round.

use std::io;

use rustls::ClientConfig;

use super::load::{Load, Outcome, closed};
use super::mode::Mode;
use super::peer::Peer;
use super::plan::{Cores, Plan};
use super::server;
use crate::server::Server;
use crate::tls::{Folder, Offer};

/// The rounds of one mode.
pub(super) struct Closed {
    pub(super) mode: Mode,
    pub(super) cores: Cores,
    pub(super) rounds: Vec<Round>,
}

/// The figures of one server in one round.
pub(super) struct Round {
    pub(super) peer: Peer,
    /// Counts from 1.
    pub(super) number: u32,
    pub(super) outcome: Outcome,
    /// What the process has resident after the round.
    pub(super) resident_kib: u64,
}

/// Measures one mode. The servers end with it.
pub(super) fn run(plan: &Plan, folder: &Folder, mode: Mode, cores: Cores) -> io::Result<Closed> {
    let start = |peer: Peer| server::start(plan, folder, peer, mode, cores);
    let peers = plan.peers_of(mode, cores);
    let servers = peers.into_iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let tls = Offer::PLAIN.config()?;
    let mut rounds = Vec::new();
    // The first round warms up: it is short, and counts for nothing.
    for number in 0..=plan.rounds {
        for server in &servers {
            let mut load = load_of(plan, mode, server, &tls);
            if number == 0 {
                load.time = load.time.min(WARM_UP_MAX);
            }
            let outcome = closed::run(load)?;
            tell(mode, cores, number, server.kind(), &outcome);
            if number > 0 {
                let resident_kib = server.resident_kib()?;
                rounds.push(Round { peer: server.kind(), number, outcome, resident_kib });
            }
        }
    }
    Ok(Closed { mode, cores, rounds })
}

pub(super) fn load_of(
    plan: &Plan,
    mode: Mode,
    server: &Server<Peer>,
    tls: &std::sync::Arc<ClientConfig>,
) -> Load {
    Load {
        server: server.address(),
        process: server.id(),
        mode,
        clients: plan.clients,
        time: plan.round_time,
        tls: tls.clone(),
    }
}

fn tell(mode: Mode, cores: Cores, number: u32, peer: Peer, outcome: &Outcome) {
    let (requests, errors) = (outcome.requests, outcome.errors);
    let cores = cores.count();
    eprintln!(
        "{mode}, {cores} cores, round {number}: {peer}: {requests} requests, {errors} errors"
    );
    if let Some(error) = &outcome.first_error {
        eprintln!("  the first error: {error}");
    }
}

// A count of requests stays far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
impl Round {
    /// Requests a second.
    pub(super) fn rate(&self) -> f64 {
        self.outcome.requests as f64 / self.outcome.elapsed.as_secs_f64()
    }

    /// Microseconds of CPU for each request; infinite if there was none.
    pub(super) fn cpu_us(&self) -> f64 {
        self.outcome.cpu.as_secs_f64() * 1e6 / self.outcome.requests as f64
    }

    /// How many CPUs the server had on average.
    pub(super) fn busy(&self) -> f64 {
        self.outcome.cpu.as_secs_f64() / self.outcome.elapsed.as_secs_f64()
    }
}

/// Arbitrary: thousands of requests, and short in comparison with a round.
const WARM_UP_MAX: std::time::Duration = std::time::Duration::from_millis(300);
