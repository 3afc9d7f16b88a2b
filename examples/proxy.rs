//! A reverse proxy: passes requests on to the upstreams that are well, and their responses back.
//!
//! `cargo run --release --example proxy -- --upstream 127.0.0.1:9000 --upstream 127.0.0.1:9001`.
//! Without `--upstream` it passes them on to a page of its own.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use straightline::proxy::{
    HealthCheck, HostPolicy, Proxy, ProxyBuilder, ProxyLimits, ProxyTimeouts,
};
use straightline::{
    IntoResponse, Limits, Method, Request, Response, Server, ShutdownReport, StatusCode,
};
use straightline_examples::{ServerArgs, announce, logger, run};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// A server to pass requests on to; may be given several times [default: a page of this one]
    #[arg(long, value_name = "ADDR", value_parser = upstream)]
    upstream: Vec<String>,
    /// Send each upstream its own address as the Host, and not the client's
    #[arg(long)]
    upstream_host: bool,
    /// Path of a health check that each upstream gets [default: none]
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Between two health checks
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    health_interval: Duration,
    /// For a connection to an upstream
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    connect_timeout: Duration,
    /// For which a request waits, if the upstreams have as many as they may have; then 503
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    queue_timeout: Duration,
    /// For the head of a response
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    first_byte_timeout: Duration,
    /// In which an upstream must send some of the body of a response
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    body_timeout: Duration,
    /// For which an idle connection to an upstream is kept
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    idle_timeout: Duration,
    /// Requests in flight to one upstream
    #[arg(long, value_name = "N", default_value_t = ProxyLimits::default().connections)]
    connections: usize,
    /// Bytes of a request's body; more is 413 [default: no limit]
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX, hide_default_value = true)]
    body_bytes: u64,
}

/// An address with a port, or a URL without a path.
fn upstream(text: &str) -> Result<String, String> {
    let wanted = "wanted is a host with a port, such as 127.0.0.1:9000";
    if text.starts_with("https://") {
        return Err(format!("{wanted}; this sample has no TLS to its upstreams"));
    }
    let url = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let address = url.unwrap_or(text);
    let port = address.rsplit_once(':').map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        _ if address.contains('/') => Err(format!("{wanted}, and no path")),
        Some(Ok(port)) if port > 0 => Ok(address.to_owned()),
        None if url.is_some() && !address.is_empty() => Ok(format!("{address}:80")),
        _ => Err(wanted.to_owned()),
    }
}

/// What there is without an upstream.
fn page(request: &mut Request) -> Response {
    match (request.path(), request.method()) {
        ("/", &Method::GET | &Method::HEAD) => "an upstream\n".into_response(),
        ("/", _) => Response::method_not_allowed(&[Method::GET, Method::HEAD]),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn serve(mut args: Args) -> io::Result<ShutdownReport> {
    let mut own = None;
    if args.upstream.is_empty() {
        let server = Server::builder().bind("127.0.0.1:0");
        let server = match args.server.workers {
            Some(workers) => server.workers(workers.get()),
            None => server,
        };
        let server = server.build(page)?;
        args.upstream.push(server.local_addrs()[0].to_string());
        own = Some(server);
    }
    let timeouts = ProxyTimeouts::default()
        .with_connect(args.connect_timeout)
        .with_queue(args.queue_timeout)
        .with_first_byte(args.first_byte_timeout)
        .with_body(args.body_timeout)
        .with_idle(args.idle_timeout);
    let mut proxy = Proxy::builder()
        .timeouts(timeouts)
        .limits(ProxyLimits::default().with_connections(args.connections));
    if args.upstream_host {
        proxy = proxy.host(HostPolicy::Upstream);
    }
    if let Some(path) = args.health_path {
        proxy = proxy.health_check(HealthCheck::new(path).with_interval(args.health_interval));
    }
    let proxy = args.upstream.into_iter().fold(proxy, ProxyBuilder::upstream);
    let server = args.server.server().logger(logger(slog::Level::Info));
    let server = server.limits(Limits::default().with_body_bytes(args.body_bytes));
    let mut server = server.build(proxy.build()?)?;
    if let Some(own) = own {
        server = server.also(own)?;
    }
    announce("http", &server)?;
    server.run()
}

fn main() -> ExitCode {
    run("Passes requests on to other servers.", serve)
}
