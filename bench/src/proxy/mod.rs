//! Proxies: this project's beside nginx and `HAProxy`, all in front of the same server of files.
//!
//! `server` runs the proxies as processes. The upstream and the clients are those of `files`; they
//! share the CPU of the load, so the CPU of the proxies has nothing else to do.

mod server;

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use self::server::Server;
pub(crate) use self::server::{Kind, run as serve};
use crate::cpu;
use crate::files::{self, Client, Folder, Plan};
use crate::report::median;

/// The figures of one proxy in one round.
struct Round {
    proxy: Kind,
    /// Counts from 1.
    number: u32,
    requests: f64,
    elapsed: Duration,
    /// The CPU time that the proxy's process spent.
    cpu: Duration,
}

/// A response, and how many clients ask for it.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    bytes: usize,
    connections: usize,
}

const WORKS: [Work; 2] = [
    Work { name: "small", bytes: 1 << 10, connections: 64 },
    Work { name: "large", bytes: 1 << 20, connections: 4 },
];

/// Measures all responses and prints a table for each; false if a proxy failed in it.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let files = WORKS.map(|work| (work.name, work.bytes));
    let folder = Folder::new(&files)?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let upstream = files::Server::start(files::Kind::Straightline, &folder, plan.pinning.load())?;
    for work in WORKS {
        println!("\n{}", table(work, &measure(plan, &upstream, &folder, work)?));
    }
    Ok(true)
}

fn measure(
    plan: &Plan,
    upstream: &files::Server,
    folder: &Folder,
    work: Work,
) -> io::Result<Vec<Round>> {
    let start = |&kind: &Kind| {
        Server::start(kind, upstream.address(), folder.path(), plan.pinning.server())
    };
    let proxies = Kind::value_variants().iter().map(start).collect::<io::Result<Vec<_>>>()?;
    for proxy in &proxies {
        load(proxy, work, plan.round_time.min(WARM_UP_MAX))?;
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        for proxy in &proxies {
            let round = Round { number, ..load(proxy, work, plan.round_time)? };
            eprintln!(
                "{work} {number}/{}: {} {:.2} µs, busy {:.2}",
                plan.rounds,
                round.proxy,
                round.cpu_us(),
                round.busy()
            );
            rounds.push(round);
        }
    }
    Ok(rounds)
}

/// Sends a request on each connection, then waits for all responses, and so on.
#[allow(clippy::cast_precision_loss)] // a count of requests stays far below 2^52
fn load(proxy: &Server, work: Work, time: Duration) -> io::Result<Round> {
    let connect = |_| Client::connect(proxy.address(), work.name, work.bytes);
    let mut clients = (0..work.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
    // The first response checks the body, and opens the connections to the upstream.
    clients.iter_mut().try_for_each(Client::ask)?;
    clients.iter_mut().try_for_each(Client::answer)?;
    let (begun, cpu_before) = (Instant::now(), proxy.cpu_time()?);
    let mut requests = 0;
    while begun.elapsed() < time {
        clients.iter_mut().try_for_each(Client::ask)?;
        clients.iter_mut().try_for_each(Client::answer)?;
        requests += work.connections;
    }
    let elapsed = begun.elapsed();
    let cpu = proxy.cpu_time()?.saturating_sub(cpu_before);
    Ok(Round { proxy: proxy.kind(), number: 0, requests: requests as f64, elapsed, cpu })
}

impl Round {
    /// Microseconds of CPU for each request.
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests
    }

    /// The part of the time that the proxy was on a CPU.
    fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// The table of one response.
fn table(work: Work, rounds: &[Round]) -> String {
    let mut text = format!(
        "### {work}\n\n\
         | proxy | CPU µs/request | CPU ÷ nginx (min..max) | busy |\n|---|--:|--:|--:|"
    );
    for &proxy in Kind::value_variants() {
        let own: Vec<&Round> = rounds.iter().filter(|round| round.proxy == proxy).collect();
        let of = |figure: fn(&Round) -> f64| median(own.iter().map(|&r| figure(r)).collect());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n| {proxy} | {:.2} | {} | {:.2} |",
            of(Round::cpu_us),
            ratio(&own, rounds),
            of(Round::busy),
        );
    }
    text
}

/// The CPU time of a request divided by that of nginx, round by round.
fn ratio(own: &[&Round], all: &[Round]) -> String {
    let ratio = |round: &&Round| {
        let is_base = |base: &&Round| base.proxy == Kind::Nginx && base.number == round.number;
        Some(round.cpu_us() / all.iter().find(is_base)?.cpu_us())
    };
    let ratios: Vec<f64> = own.iter().filter_map(ratio).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({least:.2}..{most:.2})", median(ratios))
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a response of {} KiB, {} connections", self.bytes >> 10, self.connections)
    }
}

const WARM_UP_MAX: Duration = Duration::from_millis(300);
