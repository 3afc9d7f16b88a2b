//! The time of plain requests, while others shake hands with the same thread.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::nice;
use rustls::ClientConfig;
use straightline_harness::{Histogram, ReplyReader};

use super::client::Offer;
use super::folder::Folder;
use super::plan::{Kind, Plan};
use super::server::Server;
use super::work::shake_hands;
use crate::reply::read_expected;
use crate::report::median;
use crate::serve::PATH;

/// Who shakes hands meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    Nobody,
    /// So many handshakes a second.
    Some(u32),
    /// As many as so many clients can.
    Flood(usize),
}

/// The figures of one server with one crowd.
pub(super) struct Times {
    pub(super) server: Kind,
    pub(super) crowd: Crowd,
    pub(super) handshakes: f64,
    /// How much CPU time the handshakes and the requests took of the time.
    pub(super) busy: f64,
    /// The times of the plain requests, round by round.
    pub(super) rounds: Vec<Histogram>,
}

/// Measures each server with each crowd, in rounds, and prints the table.
pub(super) fn run(plan: &Plan, folder: &Folder) -> io::Result<bool> {
    let start = |&kind: &Kind| Server::start(kind, folder, plan.pinning.server());
    let servers = Kind::ALL.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let mut all: Vec<Times> = Vec::new();
    for number in 1..=plan.rounds {
        for server in &servers {
            for crowd in [Crowd::Nobody, Crowd::Some(50), Crowd::Flood(8), Crowd::Flood(64)] {
                let is_same = |one: &&mut Times| one.server == server.kind() && one.crowd == crowd;
                let times = if let Some(times) = all.iter_mut().find(is_same) {
                    times
                } else {
                    all.push(Times::none(server.kind(), crowd));
                    all.last_mut().ok_or_else(|| io::Error::other("nothing was pushed"))?
                };
                let round = measure(server, crowd, plan.round_time, times)?;
                eprintln!(
                    "crowd {number}/{}: {} {}: p99 {:?}",
                    plan.rounds,
                    server.kind(),
                    crowd.name(),
                    round.quantile(0.99)
                );
                times.rounds.push(round);
            }
        }
    }
    println!("\n{}", of_crowds(&all, plan.round_time * plan.rounds));
    Ok(true)
}

impl Times {
    fn none(server: Kind, crowd: Crowd) -> Self {
        Self { server, crowd, handshakes: 0.0, busy: 0.0, rounds: Vec::new() }
    }
}

#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
fn measure(
    server: &Server,
    crowd: Crowd,
    time: Duration,
    times: &mut Times,
) -> io::Result<Histogram> {
    let stop = AtomicBool::new(false);
    let handshakes = AtomicU64::new(0);
    let config = Offer::PLAIN.config()?;
    let cpu_before = server.cpu_time()?;
    let round = thread::scope(|scope| {
        let threads = match crowd {
            Crowd::Nobody => 0,
            Crowd::Some(_) => 1,
            Crowd::Flood(clients) => clients,
        };
        for _ in 0..threads {
            scope.spawn(|| one_of(server, crowd, &config, &stop, &handshakes));
        }
        let result = probe(server.plain(), time);
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    times.handshakes += handshakes.into_inner() as f64;
    times.busy += server.cpu_time()?.saturating_sub(cpu_before).as_secs_f64();
    Ok(round)
}

/// One client of the crowd. It gives way to the probe, with which it shares a CPU.
fn one_of(
    server: &Server,
    crowd: Crowd,
    config: &Arc<ClientConfig>,
    stop: &AtomicBool,
    handshakes: &AtomicU64,
) {
    // If it is refused, the probe's times contain those of the crowd's own computations.
    let _ = nice(19);
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if shake_hands(server, config).is_ok() {
            handshakes.fetch_add(1, Ordering::Relaxed);
        }
        if let Crowd::Some(rate) = crowd {
            next += Duration::from_secs(1) / rate;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

/// Sends requests without TLS, one after the other, with a pause between them.
fn probe(server: SocketAddr, time: Duration) -> io::Result<Histogram> {
    let mut times = Histogram::default();
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: bench\r\n\r\n");
    let mut replies = ReplyReader::default();
    let until = Instant::now() + time;
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(request.as_bytes())?;
        read_expected(&mut replies, &mut stream)?;
        times.record(begun.elapsed(), 1);
        thread::sleep(PROBE_PAUSE);
    }
    Ok(times)
}

impl Crowd {
    pub(super) fn name(self) -> String {
        match self {
            Self::Nobody => "alone".to_owned(),
            Self::Some(rate) => format!("{rate} handshakes a second"),
            Self::Flood(clients) => format!("flood of {clients} clients"),
        }
    }
}

/// Some hundreds of requests a second: no load.
const PROBE_PAUSE: Duration = Duration::from_millis(1);

/// The table of plain requests, measured for `time` each. The times are medians over the rounds.
fn of_crowds(all: &[Times], time: Duration) -> String {
    let mut text = "### plain requests meanwhile\n\n\
                    | server | meanwhile | handshakes/s | busy | p50 µs | p99 µs | p99.9 µs |\n\
                    |---|---|--:|--:|--:|--:|--:|"
        .to_owned();
    let seconds = time.as_secs_f64();
    for one in all {
        let at = |fraction| {
            let of = |round: &Histogram| round.quantile(fraction).as_secs_f64() * 1e6;
            median(one.rounds.iter().map(of).collect())
        };
        let _ = write!(
            text,
            "\n| {} | {} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} |",
            one.server,
            one.crowd.name(),
            one.handshakes / seconds,
            one.busy / seconds,
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    text
}
