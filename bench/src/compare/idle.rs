//! The memory of connections at rest, and what they cost while nothing happens.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::mode::Mode;
use super::peer::Peer;
use super::plan::{Cores, Plan};
use super::server;
use crate::idle;
use crate::tls::Folder;

/// The figures of one server.
pub(super) struct Idle {
    pub(super) peer: Peer,
    pub(super) connections: usize,
    /// How many KiB more are resident.
    pub(super) kib: u64,
    /// The CPU time of the server in a second in which nothing happens.
    pub(super) cpu: Duration,
}

/// Measures the servers, one after the other: the load has too few descriptors for all of them.
pub(super) fn run(plan: &Plan, folder: &Folder) -> io::Result<Vec<Idle>> {
    let mut rows = Vec::new();
    // The memory has no noise, so nothing is measured again.
    let peers = plan.peers_of(Mode::Idle, Cores::One);
    for peer in peers.into_iter().filter(|&peer| peer != Peer::StraightlineAgain) {
        let server = server::start(plan, folder, peer, Mode::Idle, Cores::One)?;
        // The first ones make the server allocate what all of them share.
        let first = idle::connect(server.address(), FIRST_CLIENTS)?;
        let before = server.settled_kib()?;
        let clients = idle::connect(server.address(), plan.idle)?;
        let kib = server.settled_kib()?.saturating_sub(before);
        let (begun, cpu_before) = (Instant::now(), server.cpu_time()?);
        thread::sleep(Duration::from_secs(1));
        let cpu = server.cpu_time()?.saturating_sub(cpu_before);
        let cpu = cpu.div_f64(begun.elapsed().as_secs_f64());
        drop((first, clients));
        eprintln!("idle: {peer}: {kib} KiB, {cpu:?} of CPU a second");
        rows.push(Idle { peer, connections: plan.idle, kib, cpu });
    }
    Ok(rows)
}

/// Arbitrary: enough that all pools are filled.
const FIRST_CLIENTS: usize = 100;
