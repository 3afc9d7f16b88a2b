//! Servers that give the same response, loaded in turn: the rounds of files and of proxies.

use std::fmt::{Display, Write as _};
use std::io;
use std::time::{Duration, Instant};

use super::client::Client;
use crate::cpu::Pinning;
use crate::report::{median, ratios};
use crate::server::Server;

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) round_time: Duration,
    pub(crate) pinning: Pinning,
}

/// A response, and how many clients ask for it.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
    pub(crate) connections: usize,
}

/// A small one and a large one.
pub(crate) const WORKS: [Work; 2] = [
    Work { name: "small", bytes: 1 << 10, connections: 64 },
    Work { name: "large", bytes: 1 << 20, connections: 4 },
];

/// The figures of one server, round by round.
#[derive(Default)]
struct Rounds {
    /// Microseconds of CPU for each request.
    cpu_us: Vec<f64>,
    /// The part of the time that the server was on a CPU.
    busy: Vec<f64>,
}

/// Loads all servers, and prints a table: the medians, and the ratios to the server `base`.
pub(crate) fn run<K: Copy + Display + PartialEq>(
    plan: &Plan,
    servers: &[Server<K>],
    work: Work,
    base: K,
) -> io::Result<()> {
    for server in servers {
        load(server, work, plan.round_time.min(WARM_UP_MAX))?;
    }
    let mut all: Vec<Rounds> = servers.iter().map(|_| Rounds::default()).collect();
    for number in 1..=plan.rounds {
        for (rounds, server) in all.iter_mut().zip(servers) {
            let (cpu_us, busy) = load(server, work, plan.round_time)?;
            let (kind, name) = (server.kind(), work.name);
            eprintln!("{name} {number}/{}: {kind} {cpu_us:.2} µs, busy {busy:.2}", plan.rounds);
            rounds.cpu_us.push(cpu_us);
            rounds.busy.push(busy);
        }
    }
    println!("\n{}", table(servers, work, base, &all));
    Ok(())
}

/// Sends a request on each connection, then waits for all responses, and so on. Returns the
/// microseconds of CPU for each request, and the part of the time that the server was on a CPU.
#[allow(clippy::cast_precision_loss)] // a count of requests stays far below 2^52
fn load<K: Copy + Display>(
    server: &Server<K>,
    work: Work,
    time: Duration,
) -> io::Result<(f64, f64)> {
    let connect = |_| Client::connect(server.address(), work.name, work.bytes);
    let mut clients = (0..work.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
    // The first response checks the body, and opens the connections that a proxy needs.
    clients.iter_mut().try_for_each(Client::ask)?;
    clients.iter_mut().try_for_each(Client::answer)?;
    let (begun, cpu_before) = (Instant::now(), server.cpu_time()?);
    let mut requests = 0;
    while begun.elapsed() < time {
        clients.iter_mut().try_for_each(Client::ask)?;
        clients.iter_mut().try_for_each(Client::answer)?;
        requests += work.connections;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = server.cpu_time()?.saturating_sub(cpu_before).as_secs_f64();
    Ok((cpu * 1e6 / requests as f64, cpu / elapsed))
}

fn table<K: Copy + Display + PartialEq>(
    servers: &[Server<K>],
    work: Work,
    base: K,
    all: &[Rounds],
) -> String {
    let (kib, connections) = (work.bytes >> 10, work.connections);
    let mut text = format!(
        "### a response of {kib} KiB, {connections} connections\n\n\
         | server | CPU µs/request | CPU ÷ {base} (min..max) | busy |\n|---|--:|--:|--:|"
    );
    let base = servers.iter().position(|server| server.kind() == base).unwrap_or(0);
    for (server, rounds) in servers.iter().zip(all) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n| {} | {:.2} | {} | {:.2} |",
            server.kind(),
            median(rounds.cpu_us.clone()),
            ratios(&rounds.cpu_us, &all[base].cpu_us),
            median(rounds.busy.clone()),
        );
    }
    text
}

const WARM_UP_MAX: Duration = Duration::from_millis(300);
