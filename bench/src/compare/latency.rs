//! Requests at fixed rates: how long they take when the server is not full.

use std::io;

use super::load::{Outcome, open};
use super::mode::Mode;
use super::peer::Peer;
use super::plan::{Cores, Plan};
use super::{rounds, server};
use crate::tls::{Folder, Offer};

/// The rounds of all rates.
pub(super) struct Open {
    pub(super) cores: Cores,
    pub(super) rounds: Vec<Round>,
}

/// The figures of one server at one rate in one round.
pub(super) struct Round {
    pub(super) peer: Peer,
    /// Requests a second.
    pub(super) rate: u32,
    /// Counts from 1.
    pub(super) number: u32,
    pub(super) outcome: Outcome,
}

/// Measures all rates. The servers end with it.
pub(super) fn run(plan: &Plan, folder: &Folder, cores: Cores) -> io::Result<Open> {
    let start = |peer: Peer| server::start(plan, folder, peer, Mode::Plaintext, cores);
    let peers = plan.peers_of(Mode::Plaintext, cores);
    let servers = peers.into_iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let tls = Offer::PLAIN.config()?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        for &rate in &plan.rates {
            for server in &servers {
                let load = rounds::load_of(plan, Mode::Plaintext, server, &tls);
                let outcome = open::run(load, rate)?;
                let (peer, errors) = (server.kind(), outcome.errors);
                let p99 = outcome.latencies.quantile(0.99);
                eprintln!("{rate}/s, round {number}: {peer}: p99 {p99:?}, {errors} errors");
                rounds.push(Round { peer, rate, number, outcome });
            }
        }
    }
    Ok(Open { cores, rounds })
}
