//! A small server: `cargo run --release --example hello`, then `curl localhost:8080`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use slog::{Drain, Logger, o};
use slog_term::{FullFormat, PlainSyncDecorator};
use straightline::{Address, IntoResponse, Method, Request, Response, Server, StatusCode, sched};

/// Says hello on fibers.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one, unix:PATH a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: Address,
    /// Threads to serve on [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<std::num::NonZeroUsize>,
}

fn hello(request: &mut Request) -> impl IntoResponse {
    match (request.path(), request.method()) {
        ("/", &Method::GET | &Method::HEAD) => Ok("Hello, World!\n"),
        ("/", _) => Err(Response::method_not_allowed(&[Method::GET, Method::HEAD])),
        _ => Err(StatusCode::NOT_FOUND.into_response()),
    }
}

fn serve(args: Args) -> std::io::Result<()> {
    // Log lines go through a queue to a thread of its own, so that a slow reader of stderr does not
    // delay the server.
    let log = FullFormat::new(PlainSyncDecorator::new(sched::stderr())).build();
    let mut server = Server::builder()
        .bind(args.listen)
        .logger(Logger::root(log.ignore_res(), o!()))
        .shutdown_on_signals()
        .inspect_on_signals()
        .print_panics();
    if let Some(workers) = args.workers {
        server = server.workers(workers.get());
    }
    let server = server.build(hello)?;
    println!("listening on http://{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn main() -> ExitCode {
    match serve(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sched::stderr().put_through(format!("hello: {error}\n"), Duration::from_secs(1));
            ExitCode::FAILURE
        }
    }
}
