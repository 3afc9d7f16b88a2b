//! The flags of the playground, one for each limit.

use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use straightline::net::Keepalive;
use straightline::{
    AllStuck, Capacity, Limits, MinRate, OnDisconnect, OverloadPolicy, ServerBuilder, Timeouts,
};
use straightline_examples::ServerArgs;

use crate::paths::PATHS;

#[derive(Parser)]
#[command(after_help = PATHS)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Also logs on stderr what clients do
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Writes a line for each request to stdout
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_log: Option<AccessLog>,
    /// Bytes of the access log that may wait to be written; further lines are dropped
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub(crate) access_log_bytes: usize,
    #[command(flatten)]
    pub(crate) times: TimeArgs,
    #[command(flatten)]
    pub(crate) capacity: CapacityArgs,
    #[command(flatten)]
    pub(crate) sockets: SocketArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The timeouts, written as 250ms, 5s, 1m.
#[derive(clap::Args)]
#[command(next_help_heading = "Times")]
pub(crate) struct TimeArgs {
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
pub(crate) struct CapacityArgs {
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
    pub(crate) keep_descriptor_limit: bool,
}

/// The options of each TCP connection.
#[derive(clap::Args)]
#[command(next_help_heading = "Sockets")]
pub(crate) struct SocketArgs {
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
pub(crate) enum AccessLog {
    Common,
    Combined,
    Json,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Overload {
    /// A further client gets a 503
    Reject,
    /// A further client waits until another one leaves
    Queue,
}

/// The limits on what a client sends.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
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
    /// Bytes of an encoded body of /echo once it is decoded; more is 413
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub(crate) decoded_bytes: u64,
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

impl TimeArgs {
    pub(crate) fn apply(&self, server: ServerBuilder) -> ServerBuilder {
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
    pub(crate) fn apply(&self, server: ServerBuilder) -> ServerBuilder {
        let keepalive = Keepalive::default().with_idle(self.keepalive);
        server
            .socket_buffers(self.send_buffer, self.receive_buffer)
            .notsent_lowat((self.notsent_lowat > 0).then_some(self.notsent_lowat))
            .keepalive((!self.keepalive.is_zero()).then_some(keepalive))
    }
}

impl CapacityArgs {
    pub(crate) fn capacity(&self) -> Capacity {
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
    pub(crate) fn limits(&self) -> Limits {
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
