//! What the samples share: the flags of a server, the logger, the line with the address, and the
//! exit status.

#[cfg(feature = "_tls")]
pub mod self_signed;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use slog::{Drain, Level, Logger, o};
use slog_term::{FullFormat, PlainSyncDecorator};
use straightline::{
    Address, HeaderValue, IntoResponse, Request, Response, Server, ServerBuilder, ShutdownReport,
    header, sched,
};

/// The metrics in Prometheus' text format.
pub fn metrics(request: &Request) -> Response {
    let text = request.server().metrics().to_prometheus();
    text.into_response().content_type("text/plain; version=0.0.4")
}

/// Parses the flags and runs the sample. An error becomes a line on stderr and a failure.
pub fn run<A: Parser, T>(about: &'static str, sample: impl FnOnce(A) -> io::Result<T>) -> ExitCode {
    let flags = A::command().about(about).try_get_matches();
    let args = match flags.and_then(|flags| A::from_arg_matches(&flags)) {
        Ok(args) => args,
        // A value that is wrong says what is wanted; the other mistakes need the list of the flags.
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            let text = error.to_string();
            say(text.lines().next().unwrap_or(&text).trim_start_matches("error: "));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    let Err(error) = sample(args) else { return ExitCode::SUCCESS };
    say(&error.to_string());
    ExitCode::FAILURE
}

/// Prints a line on stderr, behind the name of the sample.
fn say(error: &str) {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(OsStr::new("sample")).display();
    sched::stderr().put_through(format!("{name}: {error}\n"), Duration::from_secs(1));
}

/// The flags of every sample that is a server.
// The samples say what they do: a comment for users would be the text of their `--help`.
#[derive(Parser)]
#[command(about = None, long_about = None)]
pub struct ServerArgs {
    /// Address to listen on; port 0 takes a free one, unix:PATH a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen)]
    pub listen: Address,
    /// Threads to serve on [default: one per core]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub workers: Option<NonZeroUsize>,
}

fn listen(text: &str) -> Result<Address, String> {
    let wanted = "wanted is an address with a port, such as 127.0.0.1:8080, or unix:PATH";
    text.parse::<Address>().map_err(|error| format!("{error}; {wanted}"))
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "wanted is a number of threads, at least 1".to_owned())
}

impl ServerArgs {
    /// A server with these flags. SIGTERM and SIGINT drain it, and SIGQUIT lists its fibers. If
    /// systemd has started it, by a socket unit, the sockets of the unit count, and not the flag.
    pub fn server(&self) -> ServerBuilder {
        let server = Server::builder()
            .inherited_or_bind(self.listen.clone())
            .systemd()
            .shutdown_on_signals()
            .inspect_on_signals()
            .print_panics();
        match self.workers {
            Some(workers) => server.workers(workers.get()),
            None => server,
        }
    }
}

/// Prints where the server listens, with the real port, and serves until it has been shut down.
pub fn serve(server: Server) -> io::Result<ShutdownReport> {
    announce("http", &server)?;
    server.run()
}

/// Prints where the server listens, with the real port.
pub fn announce(scheme: &str, server: &Server) -> io::Result<()> {
    writeln!(io::stdout(), "listening on {scheme}://{}", server.local_addrs()[0])?;
    io::stdout().flush()
}

/// The request's body, sent back while it arrives.
pub fn echo(request: &Request) -> Response {
    let response = Response::stream(|request, body| request.body().copy_to(body).map(drop));
    let content_type = request.headers().get_bytes("content-type").unwrap_or(b"text/plain");
    match HeaderValue::from_bytes(content_type) {
        Ok(content_type) => response.header(header::CONTENT_TYPE, content_type),
        Err(_) => response,
    }
}

/// Logs to stderr. The lines go through a queue to a thread of its own, so that a slow reader of
/// stderr does not delay the server.
pub fn logger(level: Level) -> Logger {
    let log = FullFormat::new(PlainSyncDecorator::new(sched::stderr())).build();
    Logger::root(log.filter_level(level).ignore_res(), o!())
}
