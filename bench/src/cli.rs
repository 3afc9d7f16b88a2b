//! The command line.

#[cfg(feature = "events")]
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use straightline_harness::cli::{self, seconds};

use crate::bench::{self, Plan};
#[cfg(feature = "compare")]
use crate::compare;
use crate::cost;
use crate::cpu::Pinning;
#[cfg(feature = "peers")]
use crate::dispatch;
use crate::files;
use crate::flags::{CONNECTIONS_MAX, ROUNDS_MAX, chosen};
use crate::idle;
#[cfg(feature = "peers")]
use crate::json;
use crate::load::Mode;
use crate::micro;
#[cfg(feature = "peers")]
use crate::multipart;
use crate::proxy;
use crate::report;
use crate::serve::{self, Kind};
#[cfg(feature = "events")]
use crate::sse;
#[cfg(feature = "tls")]
use crate::tls;
#[cfg(feature = "peers")]
use crate::websocket;

/// Measures the server beside its peers.
///
/// Every server is a process of its own with one thread. The servers run side by side and are
/// loaded in turn, round by round. The figures to compare are the ratios, which are made within a
/// round.
#[derive(Parser)]
#[command(name = "straightline-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Loads the servers in turn and prints one table a mode
    ///
    /// Exits with 1 if a server gave no response or a wrong one.
    Bench(BenchArgs),
    /// Measures many modes beside all peers, and writes the tables and plots of the page
    ///
    /// Exits with 1 if a server gave no response or a wrong one.
    #[cfg(feature = "compare")]
    Compare(compare::CompareArgs),
    /// Is one of the servers of `compare`
    #[cfg(feature = "compare")]
    #[command(hide = true)]
    ServeCompare(compare::ServeArgs),
    /// Measures single operations of the scheduler beside may, tokio and threads
    Micro(MicroArgs),
    /// Counts the instructions of a request and the bytes of an idle connection, with valgrind
    ///
    /// Exits with 1 if a figure is more than 3 % above its record in bench/cost.txt, unless the
    /// record was made with another compiler or processor.
    Cost(CostArgs),
    /// Measures the memory of connections that rest, beside hyper
    Idle(IdleArgs),
    /// Measures files of a directory beside nginx, which has to be installed
    Files(Repetition),
    /// Measures a proxy beside nginx and `HAProxy`, which have to be installed, and Go's
    Proxy(Repetition),
    /// Measures TLS with each provider of cryptography, beside nginx
    ///
    /// Exits with 1 if a handshake or a request failed.
    #[cfg(feature = "tls")]
    Tls(TlsArgs),
    /// Measures JSON in and out, beside axum and actix
    ///
    /// Exits with 1 if a server gave a wrong response.
    #[cfg(feature = "peers")]
    Json(JsonArgs),
    /// Measures a form with a large file, beside axum and its `multer`
    #[cfg(feature = "peers")]
    Multipart(MultipartArgs),
    /// Measures how long routers take to find and call a handler, beside axum and bare `matchit`
    #[cfg(feature = "peers")]
    Dispatch(DispatchArgs),
    /// Measures WebSockets that rest and WebSockets that echo, beside axum
    ///
    /// Exits with 1 if a server gave a wrong answer.
    #[cfg(feature = "peers")]
    Websocket(WebsocketArgs),
    /// Is one of the servers of `websocket`
    #[cfg(feature = "peers")]
    #[command(hide = true)]
    ServeWebsocket(Serve<websocket::Kind>),
    /// Measures event streams, beside axum and Go: memory, and the time of one event to all clients
    #[cfg(feature = "events")]
    Sse(SseArgs),
    /// Is one of the servers of `sse`
    #[cfg(feature = "events")]
    #[command(hide = true)]
    ServeSse(ServeIn<sse::Kind>),
    /// Is many clients of `sse`
    #[cfg(feature = "events")]
    #[command(hide = true)]
    SseClients(SseClientsArgs),
    /// Is one of the servers of `json`
    #[cfg(feature = "peers")]
    #[command(hide = true)]
    ServeJson(Serve<json::Kind>),
    /// Is one of the servers of `multipart`
    #[cfg(feature = "peers")]
    #[command(hide = true)]
    ServeMultipart(Serve<multipart::Kind>),
    /// Is one of the servers; `bench` and `cost` start these
    #[command(hide = true)]
    Serve(Serve<Kind>),
    /// Parses a head again and again; `cost` counts how many instructions that takes
    #[command(hide = true)]
    Parse(ParseArgs),
    /// Is one of the servers of `files`
    #[command(hide = true)]
    ServeFiles(ServeIn<files::Kind>),
    /// Is one of the proxies of `proxy`
    #[command(hide = true)]
    ServeProxy(ServeProxyArgs),
    /// Is one of the servers of `tls`
    #[cfg(feature = "tls")]
    #[command(hide = true)]
    ServeTls(ServeIn<tls::Kind>),
}

/// How often and how long servers are loaded.
#[derive(Args)]
struct Repetition {
    /// How often each server is loaded
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// How long a server is loaded each time
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// One round of 0.3 s: shows that everything works; the figures mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
}

impl Repetition {
    fn count(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    fn time(&self) -> Duration {
        if self.quick { QUICK_TIME } else { self.seconds }
    }
}

/// One of the servers of a benchmark.
#[derive(Args)]
struct Serve<K: ValueEnum + Send + Sync + 'static> {
    #[arg(value_enum)]
    server: K,
    /// The CPU to stay on
    #[arg(long)]
    cpu: Option<usize>,
}

/// The same with a folder, where its files are.
#[derive(Args)]
struct ServeIn<K: ValueEnum + Send + Sync + 'static> {
    #[arg(value_enum)]
    server: K,
    folder: PathBuf,
    /// The CPU to stay on
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Args)]
struct BenchArgs {
    #[command(flatten)]
    rounds: Repetition,
    /// Connections at a time
    #[arg(long, value_name = "C", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// The servers, separated by commas [default: all]
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    only: Vec<Kind>,
    /// The modes, separated by commas [default: all]
    #[arg(long, value_name = "MODES", value_delimiter = ',')]
    mode: Vec<Mode>,
    /// Where to write the raw rounds
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct MicroArgs {
    /// How often each operation is measured
    #[arg(long, value_name = "N", default_value = "15")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// How many operations a measurement has: the slowest peer takes some ten milliseconds times N
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = value_parser!(u64).range(1..=100))]
    scale: u64,
    /// One small round: shows that everything works; the figures mean nothing
    #[arg(long, conflicts_with_all = ["rounds", "scale"])]
    quick: bool,
}

#[derive(Args)]
struct CostArgs {
    /// Writes the record instead of comparing with it
    #[arg(long)]
    update: bool,
}

#[derive(Args)]
struct IdleArgs {
    /// How many connections rest
    #[arg(long, value_name = "C", default_value = "10000")]
    #[arg(value_parser = value_parser!(u16).range(10..=CONNECTIONS_MAX))]
    connections: u16,
}

#[derive(Args)]
struct ParseArgs {
    reader: cost::Reader,
    head: cost::Parsed,
    count: u32,
}

#[derive(Args)]
struct ServeProxyArgs {
    server: proxy::Kind,
    /// The server that gets the requests
    upstream: SocketAddr,
    /// Where the configurations are
    folder: PathBuf,
    /// The CPU to stay on
    #[arg(long)]
    cpu: Option<usize>,
}

#[cfg(feature = "peers")]
#[derive(Args)]
struct JsonArgs {
    #[command(flatten)]
    rounds: Repetition,
    /// Connections at a time
    #[arg(long, value_name = "C", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
}

#[cfg(feature = "peers")]
#[derive(Args)]
struct MultipartArgs {
    /// How often each server gets the form
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// The length of the file, in mebibytes
    #[arg(long, value_name = "M", default_value = "1024")]
    #[arg(value_parser = value_parser!(u32).range(1..=MEBIBYTES_MAX))]
    mebibytes: u32,
}

#[cfg(feature = "peers")]
#[derive(Args)]
struct WebsocketArgs {
    #[command(flatten)]
    rounds: Repetition,
    /// Connections at a time
    #[arg(long, value_name = "C", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// How many conversations rest in each step, ascending
    #[arg(long, value_name = "C,..", value_delimiter = ',', default_value = "1000,5000")]
    #[arg(value_parser = value_parser!(u16).range(10..=CONNECTIONS_MAX))]
    #[arg(conflicts_with = "quick")]
    idle: Vec<u16>,
}

#[cfg(feature = "peers")]
#[derive(Args)]
struct DispatchArgs {
    /// How often each router is measured
    #[arg(long, value_name = "N", default_value = "20")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// Requests of each measurement
    #[arg(long, value_name = "N", default_value = "200000")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    count: u32,
    /// That router alone, once and with the first path, for valgrind
    #[arg(long)]
    only: Option<dispatch::Kind>,
}

#[cfg(feature = "events")]
#[derive(Args)]
struct SseArgs {
    /// How many clients a server has in each step, ascending
    #[arg(
        long,
        value_name = "N,..",
        value_delimiter = ',',
        default_value = "1000,2000,5000,18000"
    )]
    #[arg(value_parser = value_parser!(u32).range(1..=19_000))]
    clients: Vec<u32>,
    /// How many events are sent in each step
    #[arg(long, value_name = "N", default_value = "20")]
    #[arg(value_parser = value_parser!(u32).range(1..=ROUNDS_MAX))]
    events: u32,
    /// Few clients: shows that everything works; the figures mean nothing
    #[arg(long, conflicts_with_all = ["clients", "events"])]
    quick: bool,
}

#[cfg(feature = "events")]
#[derive(Args)]
struct SseClientsArgs {
    server: SocketAddr,
    count: usize,
}

#[cfg(feature = "tls")]
#[derive(Args)]
struct TlsArgs {
    #[command(flatten)]
    rounds: Repetition,
    /// How many connections rest
    #[arg(long, value_name = "C", default_value = "2000")]
    #[arg(value_parser = value_parser!(u16).range(10..=CONNECTIONS_MAX))]
    #[arg(conflicts_with = "quick")]
    idle: u16,
    /// The parts, separated by commas [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    part: Vec<tls::Part>,
}

pub(crate) fn main() -> ExitCode {
    cli::run(|cli: Cli| match cli.command {
        Command::Bench(args) => measure(args),
        #[cfg(feature = "compare")]
        Command::Compare(args) => args.run(),
        #[cfg(feature = "compare")]
        Command::ServeCompare(args) => args.run().map(|()| true),
        Command::Micro(args) if args.quick => micro::run(1, 1),
        Command::Micro(args) => micro::run(args.rounds, args.scale),
        Command::Cost(args) => cost::run(args.update),
        Command::Idle(args) => idle::run(usize::from(args.connections), Pinning::choose()?),
        Command::Files(args) => measure_files(&args, files::run),
        Command::Proxy(args) => measure_files(&args, proxy::run),
        #[cfg(feature = "peers")]
        Command::Json(args) => measure_json(&args),
        #[cfg(feature = "peers")]
        Command::Dispatch(args) => dispatch::run(args.rounds, args.count, args.only),
        #[cfg(feature = "peers")]
        Command::Multipart(args) => measure_multipart(&args),
        #[cfg(feature = "peers")]
        Command::ServeMultipart(args) => multipart::serve(args.server, args.cpu).map(|()| true),
        #[cfg(feature = "peers")]
        Command::Websocket(args) => measure_websocket(&args),
        #[cfg(feature = "peers")]
        Command::ServeWebsocket(args) => websocket::serve(args.server, args.cpu).map(|()| true),
        #[cfg(feature = "peers")]
        Command::ServeJson(args) => json::serve(args.server, args.cpu).map(|()| true),
        #[cfg(feature = "events")]
        Command::Sse(args) => measure_sse(&args),
        #[cfg(feature = "events")]
        Command::ServeSse(args) => sse::serve(args.server, &args.folder, args.cpu).map(|()| true),
        #[cfg(feature = "events")]
        Command::SseClients(args) => sse::clients(args.server, args.count).map(|()| true),
        #[cfg(feature = "tls")]
        Command::Tls(args) => measure_tls(args),
        Command::Serve(args) => serve::run(args.server, args.cpu).map(|()| true),
        Command::Parse(args) => {
            cost::parse(args.reader, args.head, args.count);
            Ok(true)
        }
        Command::ServeFiles(args) => {
            files::serve(args.server, &args.folder, args.cpu).map(|()| true)
        }
        Command::ServeProxy(args) => {
            proxy::serve(args.server, args.upstream, &args.folder, args.cpu).map(|()| true)
        }
        #[cfg(feature = "tls")]
        Command::ServeTls(args) => tls::serve(args.server, &args.folder, args.cpu).map(|()| true),
    })
}

/// Runs the benchmark; false if a server failed in it.
fn measure(args: BenchArgs) -> io::Result<bool> {
    // A path that cannot be written is reported now and not after the last round.
    let create = |path: PathBuf| {
        File::create(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        })
    };
    let json = args.json.map(create).transpose()?;
    let plan = Plan {
        servers: chosen(args.only),
        modes: chosen(args.mode),
        rounds: args.rounds.count(),
        round_time: args.rounds.time(),
        connections: args.connections,
        pinning: Pinning::choose()?,
    };
    let conditions = report::conditions(&plan)?;
    println!("{conditions}");
    let mut rounds = Vec::new();
    for &mode in &plan.modes {
        let of_mode = bench::run(&plan, mode)?;
        println!("\n{}", report::table(&plan, mode, &of_mode));
        rounds.extend(of_mode);
    }
    if let Some(file) = json {
        report::write_json(file, &conditions, &rounds)?;
    }
    Ok(rounds.iter().all(|round| round.requests > 0 && round.errors == 0))
}

/// Runs the benchmark of files, or of proxies.
fn measure_files(args: &Repetition, run: fn(&files::Plan) -> io::Result<bool>) -> io::Result<bool> {
    let plan =
        files::Plan { rounds: args.count(), round_time: args.time(), pinning: Pinning::choose()? };
    println!("{}", report::conditions_of(plan.rounds, plan.round_time, plan.pinning)?);
    run(&plan)
}

/// Runs the benchmark of TLS; false if a server failed in it.
#[cfg(feature = "tls")]
fn measure_tls(args: TlsArgs) -> io::Result<bool> {
    let plan = tls::Plan {
        parts: chosen(args.part),
        rounds: args.rounds.count(),
        round_time: args.rounds.time(),
        idle: if args.rounds.quick { QUICK_IDLE } else { usize::from(args.idle) },
        pinning: Pinning::choose()?,
    };
    println!("{}", report::conditions_of(plan.rounds, plan.round_time, plan.pinning)?);
    tls::run(&plan)
}

/// Runs the benchmark of JSON; false if a server gave a wrong response.
#[cfg(feature = "peers")]
fn measure_json(args: &JsonArgs) -> io::Result<bool> {
    let plan = json::Plan {
        rounds: args.rounds.count(),
        round_time: args.rounds.time(),
        connections: args.connections,
        pinning: Pinning::choose()?,
    };
    println!("{}", report::conditions_of(plan.rounds, plan.round_time, plan.pinning)?);
    json::run(&plan)
}

/// Runs the benchmark of forms.
#[cfg(feature = "peers")]
fn measure_multipart(args: &MultipartArgs) -> io::Result<bool> {
    let pinning = Pinning::choose()?;
    let plan = multipart::Plan { rounds: args.rounds, mebibytes: args.mebibytes, pinning };
    println!("{pinning}; {} rounds", args.rounds);
    multipart::run(&plan)
}

/// Runs the benchmark of WebSockets; false if a server gave a wrong answer.
#[cfg(feature = "peers")]
fn measure_websocket(args: &WebsocketArgs) -> io::Result<bool> {
    let plan = websocket::Plan {
        rounds: args.rounds.count(),
        round_time: args.rounds.time(),
        connections: args.connections,
        idle: if args.rounds.quick { vec![QUICK_IDLE] } else { ascending(&args.idle) },
        pinning: Pinning::choose()?,
    };
    println!("{}", report::conditions_of(plan.rounds, plan.round_time, plan.pinning)?);
    websocket::run(&plan)
}

/// Runs the benchmark of event streams.
#[cfg(feature = "events")]
fn measure_sse(args: &SseArgs) -> io::Result<bool> {
    let plan = sse::Plan {
        clients: ascending(if args.quick { &QUICK_CLIENTS } else { &args.clients }),
        events: if args.quick { 2 } else { args.events },
        pinning: Pinning::choose()?,
    };
    println!("events in each step: {}; {}", plan.events, report::machine(plan.pinning)?);
    sse::run(&plan)
}

/// Each of the counts once, in order.
#[cfg(feature = "events")]
fn ascending<N: Copy + Into<u64>>(counts: &[N]) -> Vec<usize> {
    let counts: BTreeSet<u64> = counts.iter().map(|&count| count.into()).collect();
    counts.into_iter().filter_map(|count| usize::try_from(count).ok()).collect()
}

/// A `--quick` round. Arbitrary: long enough for thousands of requests, short enough for a CI job.
const QUICK_TIME: Duration = Duration::from_millis(300);

/// Clients of event streams with `--quick`.
#[cfg(feature = "events")]
const QUICK_CLIENTS: [u32; 2] = [20, 50];

/// Resting connections with `--quick`.
#[cfg(any(feature = "peers", feature = "tls"))]
const QUICK_IDLE: usize = 100;

/// Arbitrary: a mebibyte takes less than a millisecond.
#[cfg(feature = "peers")]
const MEBIBYTES_MAX: i64 = 1 << 16;
