//! A server to try things with: `cargo run --release --example playground`, then
//! `curl -i localhost:8080`.
//!
//! It has a path for each feature of HTTP, and a flag for each limit.

mod content;
mod paths;
mod query;
mod settings;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use slog::{Level, info};
use straightline::{AccessLogFormat, sched};
use straightline_examples::{logger, run};

use paths::handler;
use settings::{AccessLog, Args};

fn serve(args: &Args) -> io::Result<()> {
    let log = logger(if args.verbose { Level::Debug } else { Level::Info });
    let server = args
        .server
        .server()
        .limits(args.limits.limits())
        .capacity(args.capacity.capacity())
        .logger(log.clone())
        .raise_descriptor_limit(!args.capacity.keep_descriptor_limit)
        .access_log_bytes(args.access_log_bytes);
    let mut server = args.sockets.apply(args.times.apply(server));
    if let Some(format) = args.access_log {
        let format = match format {
            AccessLog::Common => AccessLogFormat::Common,
            AccessLog::Combined => AccessLogFormat::Combined,
            AccessLog::Json => AccessLogFormat::Json,
        };
        server = server.access_log(format, io::stdout());
    }
    let ended = straightline_examples::serve(server.build(handler(args.limits.decoded_bytes))?)?;
    info!(log, "{ended}");
    sched::stderr().flush_within(Duration::from_secs(1));
    Ok(())
}

fn main() -> ExitCode {
    run("Serves a path for each feature of HTTP.", |args: Args| serve(&args))
}
