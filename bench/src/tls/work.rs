//! What a handshake, a request and a MiB cost the server, in interleaved rounds.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::client::{Client, Offer};
use super::folder::Folder;
use super::plan::{Kind, Plan};
use super::server::Server;
use crate::report::median;

/// What the clients make the servers do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Full,
    Hybrid,
    Resumed,
    Requests,
    FileAes128,
    FileAes256,
    Memory,
}

/// The figures of one server in one round.
pub(super) struct Round {
    pub(super) server: Kind,
    /// Counts from 1; 0 is the warm-up.
    pub(super) number: u32,
    /// Handshakes, requests or MiB.
    pub(super) units: f64,
    pub(super) errors: u64,
    pub(super) elapsed: Duration,
    /// The CPU time that the server's process spent.
    pub(super) cpu: Duration,
}

impl Round {
    pub(super) fn rate(&self) -> f64 {
        self.units / self.elapsed.as_secs_f64()
    }

    /// Microseconds of CPU for each unit.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.units
    }

    /// The part of the time that the server was on a CPU.
    pub(super) fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// Measures one kind of work and prints its table; false if a server failed.
pub(super) fn run(plan: &Plan, folder: &Folder, work: Work) -> io::Result<bool> {
    let start = |&kind: &Kind| Server::start(kind, folder, plan.pinning.server());
    let servers = Kind::ALL.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    for server in &servers {
        work.load(server, plan.round_time.min(WARM_UP_MAX))?;
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        for server in &servers {
            let round = Round { number, ..work.load(server, plan.round_time)? };
            eprintln!(
                "{work} {number}/{}: {} {:.0} {}/s, {:.1} µs each, busy {:.2}",
                plan.rounds,
                round.server,
                round.rate(),
                work.unit(),
                round.cpu_us(),
                round.busy()
            );
            rounds.push(round);
        }
    }
    println!("\n{}", of_work(work, &rounds));
    Ok(rounds.iter().all(|round| round.units > 0.0 && round.errors == 0))
}

impl Work {
    /// What is counted.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Full | Self::Hybrid | Self::Resumed => "handshakes",
            Self::Requests => "requests",
            Self::FileAes128 | Self::FileAes256 | Self::Memory => "MiB",
        }
    }

    fn offer(self) -> Offer {
        match self {
            Self::Full | Self::Requests | Self::FileAes128 | Self::Memory => Offer::PLAIN,
            Self::Hybrid => Offer { is_hybrid: true, ..Offer::PLAIN },
            Self::Resumed => Offer { resumes: true, ..Offer::PLAIN },
            Self::FileAes256 => Offer::AES_256,
        }
    }

    /// Loads a server for `time`.
    fn load(self, server: &Server, time: Duration) -> io::Result<Round> {
        match self {
            Self::Full | Self::Hybrid | Self::Resumed => self.shake_hands(server, time),
            Self::Requests => self.ask(server, time),
            Self::FileAes128 | Self::FileAes256 => self.download(server, "/file", time),
            Self::Memory => self.download(server, "/memory", time),
        }
    }

    /// Clients that connect, send one request and leave. The response proves that the server has
    /// finished its part of the handshake.
    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
    fn shake_hands(self, server: &Server, time: Duration) -> io::Result<Round> {
        let meter = Meter::start(server)?;
        let until = meter.begun + time;
        let one = || -> io::Result<(u64, u64)> {
            let config = self.offer().config()?;
            if self == Self::Resumed {
                shake_hands(server, &config)?;
            }
            let (mut done, mut errors) = (0, 0);
            while Instant::now() < until {
                match shake_hands(server, &config) {
                    Ok(resumed) if resumed == (self == Self::Resumed) => done += 1,
                    Ok(_) => errors += 1,
                    Err(error) => {
                        eprintln!("{self}: {}: {error}", server.kind());
                        errors += 1;
                        thread::sleep(ERROR_PAUSE);
                    }
                }
            }
            Ok((done, errors))
        };
        let (done, errors) = thread::scope(|scope| -> io::Result<(u64, u64)> {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            let mut sum = (0, 0);
            for client in clients {
                let failed = |_| io::Error::other("a client panicked");
                let (done, errors) = client.join().map_err(failed)??;
                sum = (sum.0 + done, sum.1 + errors);
            }
            Ok(sum)
        })?;
        meter.stop(done as f64, errors)
    }

    /// Sends a request on each of many connections, and then waits for all responses.
    fn ask(self, server: &Server, time: Duration) -> io::Result<Round> {
        let config = self.offer().config()?;
        let connect = |_| Client::connect(server.https(), &config);
        let mut clients = (0..CONNECTIONS).map(connect).collect::<io::Result<Vec<_>>>()?;
        let meter = Meter::start(server)?;
        let mut done = 0.0;
        while meter.begun.elapsed() < time {
            clients.iter_mut().try_for_each(Client::ask)?;
            clients.iter_mut().try_for_each(Client::answer)?;
            done += f64::from(CONNECTIONS);
        }
        let round = meter.stop(done, 0);
        clients.into_iter().try_for_each(Client::reset)?;
        round
    }

    #[allow(clippy::cast_precision_loss)] // bytes stay far below 2^52
    fn download(self, server: &Server, path: &str, time: Duration) -> io::Result<Round> {
        let mut client = Client::connect(server.https(), &self.offer().config()?)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let meter = Meter::start(server)?;
        let mut bytes = 0;
        while meter.begun.elapsed() < time {
            bytes += client.download(path, &mut buffer)?;
        }
        let round = meter.stop(bytes as f64 / f64::from(1 << 20), 0);
        client.reset()?;
        round
    }
}

/// Measures a round, which begins when the clients are ready.
struct Meter<'s> {
    server: &'s Server,
    begun: Instant,
    cpu_before: Duration,
}

impl<'s> Meter<'s> {
    fn start(server: &'s Server) -> io::Result<Self> {
        Ok(Self { server, begun: Instant::now(), cpu_before: server.cpu_time()? })
    }

    fn stop(self, units: f64, errors: u64) -> io::Result<Round> {
        let elapsed = self.begun.elapsed();
        let cpu = self.server.cpu_time()?.saturating_sub(self.cpu_before);
        Ok(Round { server: self.server.kind(), number: 0, units, errors, elapsed, cpu })
    }
}

/// A connection with a request. Returns whether a session was resumed.
pub(super) fn shake_hands(server: &Server, config: &Arc<ClientConfig>) -> io::Result<bool> {
    let mut client = Client::connect(server.https(), config)?;
    client.ask()?;
    client.answer()?;
    let has_resumed = client.has_resumed();
    client.reset()?;
    Ok(has_resumed)
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full handshakes",
            Self::Hybrid => "full handshakes, hybrid where the server has it",
            Self::Resumed => "resumed handshakes",
            Self::Requests => "small requests",
            Self::FileAes128 => "a file, AES-128-GCM",
            Self::FileAes256 => "a file, AES-256-GCM",
            Self::Memory => "from memory, AES-128-GCM",
        })
    }
}

/// Clients that shake hands at a time, each on a thread. Enough to keep a server busy.
const CLIENTS: usize = 8;

/// Connections that send requests, as in `bench`.
const CONNECTIONS: u16 = 64;

const BUFFER_BYTES: usize = 256 * 1024;

const WARM_UP_MAX: Duration = Duration::from_millis(300);

/// A client of a server that refuses everything must not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The table of one kind of work.
fn of_work(work: Work, rounds: &[Round]) -> String {
    let unit = work.unit();
    let one = unit.strip_suffix('s').unwrap_or(unit);
    let mut text = format!(
        "### {work}\n\n\
         | server | {unit}/s | {unit}/s of CPU | CPU µs/{one} | CPU ÷ nginx (min..max) | busy \
         | errors |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    );
    for server in Kind::ALL {
        let own: Vec<&Round> = rounds.iter().filter(|round| round.server == server).collect();
        let of = |figure: fn(&Round) -> f64| median(own.iter().map(|&r| figure(r)).collect());
        let errors: u64 = own.iter().map(|round| round.errors).sum();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n| {server} | {:.0} | {:.0} | {:.1} | {} | {:.2} | {errors} |",
            of(Round::rate),
            1e6 / of(Round::cpu_us),
            of(Round::cpu_us),
            ratio(&own, rounds),
            of(Round::busy),
        );
    }
    text
}

/// The CPU time of a unit divided by that of nginx, round by round.
fn ratio(own: &[&Round], all: &[Round]) -> String {
    let ratio = |round: &&Round| {
        let is_base = |base: &&Round| base.server == Kind::Nginx && base.number == round.number;
        Some(round.cpu_us() / all.iter().find(is_base)?.cpu_us())
    };
    let ratios: Vec<f64> = own.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).collect();
    if ratios.is_empty() {
        return "-".to_owned();
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({least:.2}..{most:.2})", median(ratios))
}
