//! A service as it runs in production: by systemd or in a container, with an admin listener for
//! probes, metrics and drains, and an access log that can be rotated. The files in `deploy/` start
//! it.
//!
//! `cargo run --release --example service -- --admin 127.0.0.1:9090`, then
//! `curl localhost:8080/slow?ms=100` and `curl localhost:9090/metrics`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use slog::{Logger, o};
use straightline::admin::Admin;
use straightline::{
    AccessLogFormat, Address, Capacity, IntoResponse, LogLevel, Networks, Request, Response,
    StatusCode, sched,
};
use straightline_examples::{ServerArgs, announce, logger, run};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Address of the admin listener: metrics, probes, fibers, log level, drain [default: none]
    #[arg(long, value_name = "ADDR")]
    admin: Option<Address>,
    /// File of the access log, a line of JSON for each request; - is stdout. SIGHUP opens it again
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// How long a stopping server goes on to serve while /readyz is 503
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    ready_delay: Duration,
    /// How long a stopping server waits for requests in flight
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_duration)]
    drain_timeout: Duration,
    /// How many clients may be connected [default: by the descriptors]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// How many requests may wait for the server at the same time [default: 10000]
    #[arg(long, value_name = "N")]
    in_flight: Option<usize>,
    /// Networks whose connections begin with a header of the PROXY protocol [default: none]
    #[arg(long, value_name = "NETWORK")]
    proxy_protocol: Vec<String>,
}

impl Args {
    fn capacity(&self) -> Capacity {
        let default = Capacity::default();
        let (connections, in_flight) = (default.connections, default.in_flight);
        default
            .with_connections(self.connections.unwrap_or(connections))
            .with_in_flight(self.in_flight.unwrap_or(in_flight))
    }
}

/// `/` says who asks, `/slow?ms=N` takes N milliseconds.
fn answer(request: &mut Request) -> Response {
    match request.path() {
        "/" => format!("hello, {}\n", request.peer()).into_response(),
        "/slow" => {
            let time = request.query().and_then(|query| query.strip_prefix("ms=")?.parse().ok());
            sched::sleep(Duration::from_millis(time.unwrap_or(1_000)));
            "slept\n".into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file that can be opened again under the same name, after another program has moved it.
#[derive(Clone)]
struct RotatedFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl RotatedFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(Mutex::new(open(path)?));
        Ok(Self { path: path.to_owned(), file })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = open(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

impl Write for RotatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn main() -> ExitCode {
    run("A service with an admin listener.", |args: Args| {
        let level = LogLevel::new(slog::Level::Info);
        let logger = Logger::root(level.filter(logger(slog::Level::Trace)), o!());
        let server = args.server.server().logger(logger).capacity(args.capacity());
        let server = server.ready_delay(args.ready_delay).drain_timeout(args.drain_timeout);
        let server = server.proxy_protocol(Networks::new(&args.proxy_protocol)?);
        let server = match args.access_log {
            None => server,
            Some(path) if path == Path::new("-") => {
                server.access_log(AccessLogFormat::Json, io::stdout())
            }
            Some(path) => {
                let file = RotatedFile::open(&path)?;
                let log = server.access_log(AccessLogFormat::Json, file.clone());
                log.on_reload(move || file.reopen())
            }
        };
        let server = server.build(answer)?;
        announce("http", &server)?;
        // It lives until the end of this function, so also while the server drains.
        let start = |address| Admin::of(&server).log_level(&level).start(address);
        let admin = args.admin.map(start).transpose()?;
        if let Some(admin) = &admin {
            writeln!(io::stdout(), "admin on http://{}", admin.local_addr())?;
        }
        server.run()
    })
}
