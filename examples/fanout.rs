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
use straightline::net::TcpStream;
use straightline::sched::{self, sync::mpsc};
use straightline::{IntoResponse, Method, Request, Response, ShutdownReport, StatusCode};
use straightline_examples::{ServerArgs, logger, run};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
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
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Response::method_not_allowed(&[Method::GET, Method::HEAD]);
    }
    match sched::deadline(deadline, || first_three(upstreams)) {
        Ok(answers) if answers.len() == 3 => answers.concat().into_response(),
        Ok(_) => StatusCode::BAD_GATEWAY.into_response(),
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

fn serve(args: Args) -> io::Result<ShutdownReport> {
    let deadline = Duration::from_millis(args.deadline);
    let upstreams = Arc::new(OnceLock::new());
    let server = args.server.server().logger(logger(slog::Level::Info)).build({
        let upstreams = Arc::clone(&upstreams);
        move |request: &mut Request| {
            answer(request, upstreams.get().map_or(&[], Vec::as_slice), deadline)
        }
    })?;
    let asked = match server.local_addrs()[0].as_tcp() {
        _ if !args.upstream.is_empty() => args.upstream,
        Some(own) => vec![own],
        None => return Err(io::Error::other("a Unix socket needs --upstream")),
    };
    upstreams.get_or_init(|| asked);
    straightline_examples::serve(server)
}

fn main() -> ExitCode {
    run("Sends requests to ten servers and responds with the first three answers.", serve)
}
