//! A server to try things with: `cargo run --release --example playground`, then
//! `curl -i localhost:8080`.
//!
//! It has a path for each feature of HTTP, and a flag for each limit.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Parser;
use humantime::parse_duration;
use serde_json::json;
use sha2::{Digest, Sha256};
use slog::{Level, info};
use straightline::net::Keepalive;
use straightline::sched;
use straightline::{
    AccessLogFormat, AllStuck, BodyError, Capacity, IntoResponse, Limits, Method, MinRate,
    OnDisconnect, OverloadPolicy, Request, Response, ServerBuilder, StatusCode, Timeouts, header,
};
use straightline_examples::{ServerArgs, echo, logger, metrics, run};

#[derive(Parser)]
#[command(after_help = PATHS)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Also logs on stderr what clients do
    #[arg(long)]
    verbose: bool,
    /// Writes a line for each request to stdout
    #[arg(long, value_name = "FORMAT")]
    access_log: Option<AccessLog>,
    /// Bytes of the access log that may wait to be written; further lines are dropped
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    access_log_bytes: usize,
    #[command(flatten)]
    times: TimeArgs,
    #[command(flatten)]
    capacity: CapacityArgs,
    #[command(flatten)]
    sockets: SocketArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The timeouts, written as 250ms, 5s, 1m.
#[derive(clap::Args)]
#[command(next_help_heading = "Times")]
struct TimeArgs {
    /// How long a request's head may take; longer is 408
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_duration)]
    head_timeout: Duration,
    /// How long a connection may be idle between two requests
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = parse_duration)]
    idle_timeout: Duration,
    /// How long no byte of a request's body may come; longer is 408
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    body_timeout: Duration,
    /// The least rate of a request's body in bytes a second, 0 for none; less is 408
    #[arg(long, value_name = "BYTES", default_value_t = MinRate::default().bytes_per_second)]
    body_rate: u64,
    /// How much longer a body may take than that rate allows
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    body_grace: Duration,
    /// How long a handler may take, without its waits for the client; longer is 504
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    handler_timeout: Duration,
    /// How long a client may read nothing of a response
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    write_timeout: Duration,
    /// The least rate at which a client reads a response in bytes a second, 0 for none
    #[arg(long, value_name = "BYTES", default_value_t = MinRate::default().bytes_per_second)]
    write_rate: u64,
    /// How much longer a response may take than that rate allows
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = parse_duration)]
    write_grace: Duration,
    /// How long a stopping server goes on to serve while /readyz is 503
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    ready_delay: Duration,
    /// How long a stopping server waits for requests in flight
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_duration)]
    drain_timeout: Duration,
    /// How long a handler may keep its thread before another thread accepts in its place
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    busy_limit: Duration,
    /// How long a handler may keep its thread before another thread replaces it, and its clients
    /// are closed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    stuck_limit: Duration,
    /// How many threads may be added to the workers, in the place of busy or stuck ones
    #[arg(long, value_name = "N", default_value = "4")]
    replacements: usize,
    /// Aborts the process when all threads are stuck, instead of ending with an error
    #[arg(long)]
    abort_when_stuck: bool,
    /// Cancels a handler when its client disconnects
    #[arg(long)]
    cancel_on_disconnect: bool,
}

/// How much may be open or in flight at the same time.
#[derive(clap::Args)]
#[command(next_help_heading = "Capacity")]
struct CapacityArgs {
    /// Open connections [default: three quarters of the descriptors]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Open connections of one address [default: no limit]
    #[arg(long, value_name = "N")]
    max_connections_per_peer: Option<usize>,
    /// Requests in flight; more get a 503
    #[arg(long, value_name = "N", default_value_t = Capacity::default().in_flight)]
    max_in_flight: usize,
    /// Bytes of the buffers and bodies of all clients; beyond it a client gets a 503 [default: a
    /// quarter of the memory that the process may have]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// What happens to further clients
    #[arg(long, value_name = "WHAT", default_value = "reject")]
    overload_policy: Overload,
    /// Does not raise the soft limit on descriptors
    #[arg(long)]
    keep_descriptor_limit: bool,
}

/// The options of each TCP connection.
#[derive(clap::Args)]
#[command(next_help_heading = "Sockets")]
struct SocketArgs {
    /// Bytes of responses that the kernel keeps until they are acknowledged [default: the kernel's
    /// choice]
    #[arg(long, value_name = "BYTES")]
    send_buffer: Option<usize>,
    /// Bytes of requests that the kernel keeps until they are read [default: the kernel's choice]
    #[arg(long, value_name = "BYTES")]
    receive_buffer: Option<usize>,
    /// Bytes of responses that may wait in the kernel to be sent, 0 for no limit
    #[arg(long, value_name = "BYTES", default_value = "131072")]
    notsent_lowat: usize,
    /// How long a connection is silent before the kernel probes the client, 0s for never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    keepalive: Duration,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AccessLog {
    Common,
    Combined,
    Json,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Overload {
    /// A further client gets a 503
    Reject,
    /// A further client waits until another one leaves
    Queue,
}

/// The limits on what a client sends.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Bytes of the request line; more is 414
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().request_line_bytes)]
    request_line_bytes: usize,
    /// Bytes of one header line; more is 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().field_line_bytes)]
    field_line_bytes: usize,
    /// Bytes of the whole head; more is 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().head_bytes)]
    head_bytes: usize,
    /// Header lines; more is 431
    #[arg(long, value_name = "N", default_value_t = Limits::default().fields)]
    fields: usize,
    /// Bytes of a request's body; more is 413. The playground streams bodies, so its default is
    /// higher than the library's
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
    body_bytes: u64,
    /// Bytes of all chunk extensions of a body; more is 413
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().chunk_extension_bytes)]
    chunk_extension_bytes: usize,
    /// Bytes of the trailers of a chunked body; more is 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().trailer_bytes)]
    trailer_bytes: usize,
    /// Requests of one connection [default: no limit]
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
}

/// The most bytes that `/reverse` holds in memory for a client.
const REVERSED_BYTES_MAX: u64 = 64 << 20;

const PATHS: &str = "\
Paths:
  /, /hello      a line of text
  /echo          POST or PUT: the request's body, sent back while it arrives
  /upload        POST or PUT: the length of the request's body, and its SHA-256
  /reverse       POST or PUT: the request's body backwards, at most 64 MiB
  /big?bytes=N   N bytes (1048576), streamed
  /slow?ms=N     a line of text, after N milliseconds (1000)
  /headers       the request's head as JSON
  /block?ms=N    blocks a thread of the offload pool for N milliseconds (1000)
  /spin?ms=N     computes for N milliseconds (1000) without yielding
  /hang          computes for ever without yielding
  /recurse?depth=N  calls itself N times (10), a kilobyte of stack each
  /panic         panics
  /healthz       200 as long as the server responds
  /readyz        200, and 503 once a stop has begun
  /metrics       the metrics in Prometheus' text format";

fn answer(request: &mut Request) -> Response {
    let allowed: &[Method] = match request.path() {
        "/" | "/hello" | "/big" | "/slow" | "/headers" | "/block" | "/spin" | "/hang"
        | "/recurse" | "/panic" | "/healthz" | "/readyz" | "/metrics" => {
            &[Method::GET, Method::HEAD]
        }
        "/echo" | "/upload" | "/reverse" => &[Method::POST, Method::PUT],
        // The methods of the server as a whole.
        "*" => {
            let all = "GET, HEAD, POST, PUT, OPTIONS";
            return Response::new(StatusCode::NO_CONTENT).header(header::ALLOW, all);
        }
        _ if request.method() == Method::CONNECT => {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if !allowed.contains(request.method()) {
        return Response::method_not_allowed(allowed);
    }
    match request.path() {
        "/echo" => echo(request),
        "/upload" => upload(request).into_response(),
        "/reverse" => reverse(request).into_response(),
        "/big" => big(request).into_response(),
        "/slow" => slow(request).into_response(),
        "/headers" => headers(request),
        "/block" => block(request).into_response(),
        "/spin" => spin(request).into_response(),
        "/hang" => loop {
            std::hint::spin_loop();
        },
        "/recurse" => recurse(request).into_response(),
        "/panic" => panic!("as you wish"),
        "/healthz" => "alive\n".into_response(),
        "/metrics" => metrics(request),
        "/readyz" if request.server().is_ready() => "ready\n".into_response(),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        _ => "Hello, World!\n".into_response(),
    }
}

/// Holds the whole body in memory, because its last byte is the first one of the response.
fn reverse(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    let mut bytes = request.body().read_to_vec(REVERSED_BYTES_MAX)?;
    bytes.reverse();
    Ok(bytes)
}

fn upload(request: &mut Request) -> Result<Response, Response> {
    let mut hash = Sha256::new();
    let bytes = request.body().copy_to(&mut hash).map_err(|error| match BodyError::of(&error) {
        Some(error) => error.into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })?;
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(as_json(&json!({ "bytes": bytes, "sha256": sha256 })))
}

fn big(request: &Request) -> Result<Response, Response> {
    let bytes = parameter(request, "bytes", 1 << 20)?;
    Ok(Response::stream(move |_, body| {
        let piece = vec![b'x'; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let count = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            body.write_all(&piece[..count])?;
            left -= count as u64;
        }
        Ok(())
    })
    .content_type("application/octet-stream"))
}

fn slow(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    sched::sleep(time);
    Ok(format!("that took {time:?}\n"))
}

fn block(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    match sched::offload(move || std::thread::sleep(time)) {
        Ok(()) => Ok(format!("that blocked a thread for {time:?}\n")),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()),
    }
}

fn spin(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
    Ok(format!("that kept the thread for {time:?}\n"))
}

fn recurse(request: &Request) -> Result<String, Response> {
    #[inline(never)]
    fn descend(depth: u64) -> u64 {
        let frame = [depth; 120];
        let below = if depth == 0 { 0 } else { 1 + descend(depth - 1) };
        below + black_box(&frame)[0] - depth
    }
    let depth = parameter(request, "depth", 10)?;
    Ok(format!("{} calls deep\n", descend(depth)))
}

fn headers(request: &Request) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers();
    let fields: Vec<_> = headers.iter().map(|(name, value)| (name, text(value))).collect();
    as_json(&json!({
        "method": request.method().as_str(),
        "target": request.target(),
        "path": request.path(),
        "query": request.query(),
        "version": format!("{:?}", request.version()),
        "headers": fields,
    }))
}

fn as_json(value: &serde_json::Value) -> Response {
    format!("{value}\n").into_response().content_type("application/json")
}

/// The value of a parameter of the query, or the default if the query does not have it.
fn parameter<N: FromStr>(request: &Request, name: &str, default: N) -> Result<N, Response> {
    let parameters = request.query().unwrap_or_default().split('&');
    let mut values =
        parameters.filter_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='));
    match values.next() {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            (StatusCode::BAD_REQUEST, format!("{name} must be a whole number\n")).into_response()
        }),
    }
}

impl TimeArgs {
    fn apply(&self, server: ServerBuilder) -> ServerBuilder {
        let timeouts = Timeouts::default()
            .with_head(self.head_timeout)
            .with_idle(self.idle_timeout)
            .with_handler(self.handler_timeout)
            .with_body(
                MinRate::default()
                    .with_idle(self.body_timeout)
                    .with_bytes_per_second(self.body_rate)
                    .with_grace(self.body_grace),
            )
            .with_write(
                MinRate::default()
                    .with_idle(self.write_timeout)
                    .with_bytes_per_second(self.write_rate)
                    .with_grace(self.write_grace),
            );
        let on_disconnect =
            if self.cancel_on_disconnect { OnDisconnect::Cancel } else { OnDisconnect::Finish };
        let all_stuck =
            if self.abort_when_stuck { AllStuck::AbortProcess } else { AllStuck::EndServer };
        server
            .timeouts(timeouts)
            .ready_delay(self.ready_delay)
            .drain_timeout(self.drain_timeout)
            .busy_limit(Some(self.busy_limit))
            .stuck_limit(Some(self.stuck_limit))
            .replacements(self.replacements)
            .all_stuck(all_stuck)
            .on_disconnect(on_disconnect)
    }
}

impl SocketArgs {
    fn apply(&self, server: ServerBuilder) -> ServerBuilder {
        let keepalive = Keepalive::default().with_idle(self.keepalive);
        server
            .socket_buffers(self.send_buffer, self.receive_buffer)
            .notsent_lowat((self.notsent_lowat > 0).then_some(self.notsent_lowat))
            .keepalive((!self.keepalive.is_zero()).then_some(keepalive))
    }
}

impl CapacityArgs {
    fn capacity(&self) -> Capacity {
        let default = Capacity::default();
        default
            .with_connections(self.max_connections.unwrap_or(default.connections))
            .with_connections_per_peer(
                self.max_connections_per_peer.unwrap_or(default.connections_per_peer),
            )
            .with_in_flight(self.max_in_flight)
            .with_memory_bytes(self.memory.unwrap_or(default.memory_bytes))
            .with_overload_policy(match self.overload_policy {
                Overload::Reject => OverloadPolicy::Reject,
                Overload::Queue => OverloadPolicy::Queue,
            })
    }
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits::default()
            .with_request_line_bytes(self.request_line_bytes)
            .with_field_line_bytes(self.field_line_bytes)
            .with_head_bytes(self.head_bytes)
            .with_fields(self.fields)
            .with_body_bytes(self.body_bytes)
            .with_chunk_extension_bytes(self.chunk_extension_bytes)
            .with_trailer_bytes(self.trailer_bytes)
            .with_requests(self.requests.unwrap_or(Limits::default().requests))
    }
}

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
    let ended = straightline_examples::serve(server.build(answer)?)?;
    info!(log, "{ended}");
    sched::stderr().flush_within(Duration::from_secs(1));
    Ok(())
}

fn main() -> ExitCode {
    run("Serves a path for each feature of HTTP.", |args: Args| serve(&args))
}
