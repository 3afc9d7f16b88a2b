//! The command line.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};
use straightline_harness::cli::{self, seconds};

use crate::options::Options;
use crate::report::{self, Report};
use crate::scenarios::{self, Scenario};
use crate::server::{self, Bounds};

/// Tries the sample server `playground` as a process, from outside.
///
/// Exits with 0 if every documented behaviour held, with 1 if one did not.
#[derive(Parser)]
#[command(name = "straightline-trials", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Scenario: connections of one request each, as many as possible
    ShortConnections(Timed),
    /// Scenario: many connections held open; all are served, then the idle timeout closes them
    KeepAlive(Sized),
    /// Scenario: request heads byte by byte (slowloris)
    SlowHeads(Sized),
    /// Scenario: request bodies that stall or trickle
    SlowBodies(Sized),
    /// Scenario: clients that do not read their responses
    SlowReaders(Sized),
    /// Scenario: bodies of the limit less one byte, the limit, and one more
    LargeBodies(Sized),
    /// Scenario: more bodies at a time than fit into the memory of the process
    Memory(Sized),
    /// Scenario: more blocking calls than the offload pool has threads
    Pool(Sized),
    /// Scenario: handlers that never yield
    Runaways(Common),
    /// Scenario: a server that runs out of descriptors
    Descriptors(Common),
    /// Scenario: connections that open and close; the server gives their memory back
    Churn(Timed),
    /// Scenario: SIGTERM under load
    Shutdown(Sized),
    /// Scenario: more connections and more requests than the server may accept
    Overload(Timed),
    /// Scenario: the process is stopped for longer than the timeouts of its clients
    Pauses(Sized),
    /// Scenario: nothing reads the output of the server
    UnreadOutput(Sized),
    /// Scenario: one server after the other is stopped, while clients in Node and Go use both
    RollingStop(Common),
    /// Scenario: TLS, with each provider of cryptography; the server is the sample `https`
    #[cfg(feature = "tls")]
    Tls(Sized),
    /// Every scenario, one after the other
    All(Common),
    /// Becomes the server of a scenario
    #[command(hide = true)]
    Launch(LaunchArgs),
}

#[derive(Args)]
struct Common {
    /// The binary of the server [default: the sample beside this one, in examples]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Small and short, for CI: the same behaviours in a few seconds each
    #[arg(long)]
    quick: bool,
    /// Where to write the results; - is standard output, and the table then goes to stderr
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct Sized {
    #[command(flatten)]
    common: Common,
    /// Clients at a time [default: depends on the scenario and on --quick]
    #[arg(long, value_name = "C")]
    #[arg(value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    connections: Option<u32>,
}

#[derive(Args)]
struct Timed {
    #[command(flatten)]
    sized: Sized,
    /// How long the load lasts [default: depends on the scenario and on --quick]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
}

#[derive(Args)]
struct LaunchArgs {
    /// How many descriptors the server may have open
    #[arg(long)]
    descriptors: Option<u64>,
    /// How many bytes of address space the server may have
    #[arg(long)]
    address_space: Option<u64>,
    program: PathBuf,
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<String>,
}

pub(crate) fn main() -> ExitCode {
    cli::run(|cli: Cli| match cli.command.into_parts() {
        Task::Try(scenarios, arguments) => run(&scenarios, arguments),
        Task::Launch(args) => {
            let LaunchArgs { descriptors, address_space, .. } = args;
            let bounds = Bounds { descriptors, address_space };
            Err(server::launch(&args.program, &args.arguments, bounds))
        }
    })
}

/// Runs the scenarios; false if an expectation did not hold.
///
/// # Errors
///
/// `InvalidInput` if the command line is wrong.
fn run(scenarios: &[Scenario], arguments: Timed) -> io::Result<bool> {
    let named = arguments.sized.common.server;
    #[cfg(feature = "tls")]
    let (named, https) = server_with_tls(scenarios, named)?;
    let server = match named {
        Some(path) => server::existing(path, "playground")?,
        None => server::beside_this_binary("playground")?,
    };
    let json = arguments.sized.common.json.as_deref().map(JsonFile::create).transpose()?;
    let options = Options {
        server,
        #[cfg(feature = "tls")]
        https,
        quick: arguments.sized.common.quick,
        connections: arguments.sized.connections.map(|count| count as usize),
        seconds: arguments.seconds,
    };
    let conditions = report::conditions(&options)?;
    let reports = scenarios::run(scenarios, options)?;
    let table = format!("{conditions}\n\n{}", report::table(&reports));
    match json {
        Some(JsonFile::Stdout) => eprintln!("{table}"),
        _ => println!("{table}"),
    }
    if let Some(file) = json {
        file.write(&format!("{:#}", report::json(&conditions, &reports)))?;
    }
    Ok(reports.iter().all(Report::held))
}

/// The server of the scenario `tls`, and the path that is left for the other scenarios. A path on
/// the command line is the one of the only scenario.
#[cfg(feature = "tls")]
fn server_with_tls(
    scenarios: &[Scenario],
    named: Option<PathBuf>,
) -> io::Result<(Option<PathBuf>, PathBuf)> {
    match (scenarios, named) {
        ([Scenario::Tls], Some(path)) => {
            let path = server::existing(path, "https")?;
            Ok((Some(path.clone()), path))
        }
        ([Scenario::Tls], None) => {
            let path = server::beside_this_binary("https")?;
            Ok((Some(path.clone()), path))
        }
        // Scenarios that do not use it do not need it.
        ([_], named) => Ok((named, PathBuf::new())),
        (_, named) => Ok((named, server::beside_this_binary("https")?)),
    }
}

/// The scenarios and options of a command.
enum Task {
    Try(Vec<Scenario>, Timed),
    Launch(LaunchArgs),
}

impl Command {
    fn into_parts(self) -> Task {
        let (scenario, arguments) = match self {
            Self::ShortConnections(arguments) => (Scenario::ShortConnections, arguments),
            Self::KeepAlive(arguments) => (Scenario::KeepAlive, arguments.into()),
            Self::SlowHeads(arguments) => (Scenario::SlowHeads, arguments.into()),
            Self::SlowBodies(arguments) => (Scenario::SlowBodies, arguments.into()),
            Self::SlowReaders(arguments) => (Scenario::SlowReaders, arguments.into()),
            Self::LargeBodies(arguments) => (Scenario::LargeBodies, arguments.into()),
            Self::Memory(arguments) => (Scenario::Memory, arguments.into()),
            Self::Pool(arguments) => (Scenario::Pool, arguments.into()),
            Self::Runaways(arguments) => (Scenario::Runaways, arguments.into()),
            Self::Descriptors(arguments) => (Scenario::Descriptors, arguments.into()),
            Self::Churn(arguments) => (Scenario::Churn, arguments),
            Self::Shutdown(arguments) => (Scenario::Shutdown, arguments.into()),
            Self::Overload(arguments) => (Scenario::Overload, arguments),
            Self::Pauses(arguments) => (Scenario::Pauses, arguments.into()),
            Self::UnreadOutput(arguments) => (Scenario::UnreadOutput, arguments.into()),
            Self::RollingStop(arguments) => (Scenario::RollingStop, arguments.into()),
            #[cfg(feature = "tls")]
            Self::Tls(arguments) => (Scenario::Tls, arguments.into()),
            Self::All(arguments) => return Task::Try(Scenario::ALL.to_vec(), arguments.into()),
            Self::Launch(arguments) => return Task::Launch(arguments),
        };
        Task::Try(vec![scenario], arguments)
    }
}

impl From<Common> for Timed {
    fn from(common: Common) -> Self {
        Sized { common, connections: None }.into()
    }
}

impl From<Sized> for Timed {
    fn from(sized: Sized) -> Self {
        Self { sized, seconds: None }
    }
}

/// Where the results go.
enum JsonFile {
    Stdout,
    File(File),
}

impl JsonFile {
    /// Opens the file at once: a path that cannot be written is reported now, and not after the
    /// last scenario.
    fn create(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        File::create(path).map(Self::File).map_err(|error| {
            let text = format!("cannot write {}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout => writeln!(io::stdout(), "{text}"),
            Self::File(mut file) => writeln!(file, "{text}"),
        }
    }
}

/// Arbitrary: most systems grant so many descriptors.
const CONNECTIONS_MAX: i64 = 10_000;
