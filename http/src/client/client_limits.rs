//! What bounds the connections of a client.

use std::time::Duration;

use crate::with_fields::with_fields;

/// The bounds of a [`Client`](super::Client). Those that count connections hold on each shard.
///
/// ```
/// use std::time::Duration;
/// use straightline::client::{Client, ClientLimits};
///
/// let limits = ClientLimits::default()
///     .with_connections_per_host(8)
///     .with_connect_timeout(Duration::from_secs(1));
/// let client = Client::builder().limits(limits).build();
/// # drop(client);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// How many connections one shard has to one host. A call that needs another one waits for its
    /// turn, within [`connect_timeout`](Self::connect_timeout) and its deadline. 0 counts as 1.
    /// Default: 64. That is more than one upstream service usually answers at the same time for
    /// one thread, and keeps an upstream service that is slow from taking all descriptors.
    pub connections_per_host: usize,
    /// How many idle connections one shard keeps, to all hosts. Beyond it the one that has been
    /// idle for longest is closed. With 0 no connection is used twice. Default: 64.
    pub idle_connections: usize,
    /// How long an idle connection may be used again. Then it is closed, also if no further call
    /// comes. Default: 15 seconds: most servers wait for longer than that, so the server seldom
    /// closes a connection at the moment of its use.
    pub idle_time: Duration,
    /// How long a call may wait for its connection: for its turn, the name, the TCP and the TLS
    /// handshake, and a proxy. Then it is [`Timeout::Connect`](ureq::Timeout::Connect). Default: 10
    /// seconds; within it the kernel repeats a lost packet at least three times.
    pub connect_timeout: Duration,
    /// How long a server may be silent while the call waits for it: to send something, or to take
    /// something. Then it is an error of the kind [`TimedOut`](std::io::ErrorKind::TimedOut).
    /// Default: 60 seconds, as long as a handler may take. It is for calls without a deadline; all
    /// calls of a handler have its deadline.
    pub silence: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections_per_host: 64,
            idle_connections: 64,
            idle_time: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            silence: Duration::from_secs(60),
        }
    }
}

with_fields!(ClientLimits {
    with_connections_per_host: connections_per_host: usize,
    with_idle_connections: idle_connections: usize,
    with_idle_time: idle_time: Duration,
    with_connect_timeout: connect_timeout: Duration,
    with_silence: silence: Duration,
});
