//! Sends requests to ten servers at once and responds with the first three answers: a scope under a
//! deadline.
//!
//! `cargo run --release --example fanout`, then `curl localhost:8080`. Without `--upstream` the
//! server sends the ten requests to itself: `/slow/N` takes N times 50 ms.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use slog::{Drain, Logger, o};
use slog_term::{FullFormat, PlainSyncDecorator};
use straightline::net::TcpStream;
use straightline::sched::{self, sync::mpsc};
use straightline::{Address, IntoResponse, Request, Response, Server, StatusCode};

/// Sends requests to ten servers at once and responds with the first three answers.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Threads to serve on [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<std::num::NonZeroUsize>,
    /// A server to send requests to; may be given several times [default: this one]
    #[arg(long, value_name = "ADDR")]
    upstream: Vec<SocketAddr>,
    /// How long the three answers may take together, in milliseconds
    #[arg(long, value_name = "MS", default_value = "1000")]
    deadline: u64,
}

/// Requests the answer of one upstream, with code that reads like blocking code.
fn ask(upstream: SocketAddr, number: usize) -> io::Result<String> {
    let mut stream = TcpStream::connect(upstream)?;
    write!(stream, "GET /slow/{number} HTTP/1.1\r\nHost: {upstream}\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}

fn first_three(upstreams: &[SocketAddr]) -> Vec<String> {
    sched::scope(|s| {
        let (sender, answers) = mpsc::unbounded();
        for number in 1..=10 {
            let sender = sender.clone();
            s.spawn(move || {
                if let Ok(answer) = ask(upstreams[number % upstreams.len()], number) {
                    let _ = sender.send(answer); // fails once three answers have been received
                }
            });
        }
        drop(sender); // `answers` ends when the last fiber ends
        let first = answers.iter().take(3).collect();
        s.cancel();
        first
    })
}

fn answer(request: &Request, upstreams: &[SocketAddr], deadline: Duration) -> Response {
    let path = request.path();
    if let Some(number) = path.strip_prefix("/slow/").and_then(|n| n.parse().ok()) {
        sched::sleep(Duration::from_millis(50).saturating_mul(number));
        return format!("answer {number}\n").into_response();
    }
    if path != "/" {
        return StatusCode::NOT_FOUND.into_response();
    }
    match sched::deadline(deadline, || first_three(upstreams)) {
        Ok(answers) if answers.len() == 3 => answers.concat().into_response(),
        Ok(_) => StatusCode::BAD_GATEWAY.into_response(),
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

fn serve(args: Args) -> io::Result<()> {
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
    let deadline = Duration::from_millis(args.deadline);
    let upstreams = Arc::new(OnceLock::new());
    let server = server.build({
        let upstreams = Arc::clone(&upstreams);
        move |request: &mut Request| {
            answer(request, upstreams.get().map_or(&[], Vec::as_slice), deadline)
        }
    })?;
    let Address::Tcp(own) = server.local_addrs()[0] else { unreachable!("it listens on TCP") };
    upstreams.get_or_init(|| if args.upstream.is_empty() { vec![own] } else { args.upstream });
    println!("listening on http://{own}");
    server.run()?;
    Ok(())
}

fn main() -> ExitCode {
    match serve(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sched::stderr().put_through(format!("fanout: {error}\n"), Duration::from_secs(1));
            ExitCode::FAILURE
        }
    }
}
