//! What a program chooses for a proxy: times, bounds, health checks and ejections.

use std::time::Duration;

use crate::with_fields::with_fields;

/// How long a proxy waits for its upstreams. The server's own [`Timeouts`](crate::Timeouts) bound
/// the clients, and the handler as a whole.
///
/// ```
/// use std::time::Duration;
/// use straightline::proxy::ProxyTimeouts;
///
/// let timeouts = ProxyTimeouts::default().with_first_byte(Duration::from_secs(5));
/// assert_eq!(timeouts.connect, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyTimeouts {
    /// For a new connection, the resolution of a name included; then another upstream is tried, and
    /// in the end the client gets a 504. Default 5 s: some lost packets.
    pub connect: Duration,
    /// For a place with an upstream, if all of them have as many requests as they may have; then
    /// 503. Zero: no request waits. Default 1 s: long enough for a burst, and short enough for a
    /// client that asks elsewhere then.
    pub queue: Duration,
    /// From the end of the request to the end of the response's head; then 504. Default 30 s: half
    /// of the server's [handler timeout](crate::Timeouts::handler), so that the proxy notices first
    /// and says why.
    pub first_byte: Duration,
    /// In which the upstream takes no byte of the request; then 504. Default 30 s, as for the first
    /// byte.
    pub write: Duration,
    /// In which no byte of the response's body arrives; then the client sees that the body has
    /// ended early. Default 60 s, the server's handler timeout, which applies as well.
    pub body: Duration,
    /// For which a client that says `Expect: 100-continue` waits for the upstream's 100; then its
    /// body is sent all the same (RFC 9110 section 10.1.1). Default 1 s, as in other clients.
    pub expect_continue: Duration,
    /// For which an idle connection is kept. Default 30 s: less than the 60 s and more that most
    /// servers keep a connection, because a request on a connection that its upstream is about to
    /// close is lost.
    pub idle: Duration,
    /// In which no byte moves on a connection that has switched to another protocol; then it is
    /// closed. Default 5 min: longer than the pings of WebSocket libraries are apart.
    pub upgraded: Duration,
}

with_fields! { ProxyTimeouts {
    with_connect: connect: Duration,
    with_queue: queue: Duration,
    with_first_byte: first_byte: Duration,
    with_write: write: Duration,
    with_body: body: Duration,
    with_expect_continue: expect_continue: Duration,
    with_idle: idle: Duration,
    with_upgraded: upgraded: Duration,
} }

impl Default for ProxyTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            queue: Duration::from_secs(1),
            first_byte: Duration::from_secs(30),
            write: Duration::from_secs(30),
            body: Duration::from_secs(60),
            expect_continue: Duration::from_secs(1),
            idle: Duration::from_secs(30),
            upgraded: Duration::from_secs(300),
        }
    }
}

/// The bounds of a proxy on what its upstreams send, and on connections to them.
///
/// ```
/// use straightline::proxy::ProxyLimits;
///
/// let limits = ProxyLimits::default().with_connections(100);
/// assert_eq!(limits.fields, 200);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyLimits {
    /// Bytes of a response's head; more is 502. Default 64 KiB: twice what the server takes from
    /// clients, as upstreams are trusted more.
    pub head_bytes: usize,
    /// Fields of a response's head, and of its trailers; more is 502. Default 200: twice what
    /// clients may send.
    pub fields: usize,
    /// Requests in flight to one upstream, of all shards together; each has a connection. Beyond
    /// it, another upstream is taken, or the request waits ([`ProxyTimeouts::queue`]). Default
    /// 1,024.
    pub connections: usize,
    /// Requests that wait for a place with an upstream, of all shards together; more are 503 at
    /// once. Default 1,024: as many as one upstream may serve, so they get their turn soon.
    pub queue: usize,
    /// Idle connections to one upstream that each shard keeps. Beyond it, a connection is closed
    /// behind its response. Default 128: enough for a shard under load.
    pub idle_connections: usize,
    /// Upstreams that are tried for one request, if they cannot be connected to. Default 3: so a
    /// client waits for at most three connect timeouts.
    pub attempts: usize,
}

with_fields! { ProxyLimits {
    with_head_bytes: head_bytes: usize,
    with_fields: fields: usize,
    with_connections: connections: usize,
    with_queue: queue: usize,
    with_idle_connections: idle_connections: usize,
    with_attempts: attempts: usize,
} }

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            fields: 200,
            connections: 1024,
            queue: 1024,
            idle_connections: 128,
            attempts: 3,
        }
    }
}

/// Requests that a proxy sends to its upstreams by itself, to learn which of them are well.
///
/// One shard sends them, from the first request of a client on. An upstream is well at first. If
/// all upstreams are ill, clients get a 503.
///
/// ```
/// use std::time::Duration;
/// use straightline::proxy::HealthCheck;
///
/// let check = HealthCheck::new("/healthz").with_interval(Duration::from_secs(1));
/// assert_eq!(check.ill_after, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// The target of the GET request. A 2xx or 3xx is good, and everything else is bad.
    pub path: String,
    /// Between two checks of an upstream. Default 5 s.
    pub interval: Duration,
    /// For one check, connecting included. Default 2 s.
    pub timeout: Duration,
    /// Bad checks in a row after which an upstream is ill. Default 3: one lost packet is none.
    pub ill_after: u32,
    /// Good checks in a row after which it is well again. Default 2.
    pub well_after: u32,
}

impl HealthCheck {
    /// Checks by a GET of `path`, with the defaults. Not a yield point.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            ill_after: 3,
            well_after: 2,
        }
    }
}

with_fields! { HealthCheck {
    with_interval: interval: Duration,
    with_timeout: timeout: Duration,
    with_ill_after: ill_after: u32,
    with_well_after: well_after: u32,
} }

/// When an upstream that fails requests of clients is *ejected*: it gets none for a while.
///
/// A failure is a connection that cannot be opened, a timeout, or a response that is malformed or
/// ends early. A status, also a 500, is none: the upstream has answered.
///
/// ```
/// use straightline::proxy::Ejections;
///
/// let ejections = Ejections::default().with_failures(3);
/// assert_eq!(ejections.percent_max, 50);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ejections {
    /// Failures in a row after which an upstream is ejected; 0 ejects none. Default 5.
    pub failures: u32,
    /// For how long the first time. If the next request to the upstream fails again, the time
    /// doubles. Default 10 s.
    pub time: Duration,
    /// The longest time. Default 5 min.
    pub time_max: Duration,
    /// How many of the upstreams may be ejected at the same time, in percent, rounded down. All of
    /// them never are: what they still can serve is better than nothing. Default 50.
    pub percent_max: u32,
}

with_fields! { Ejections {
    with_failures: failures: u32,
    with_time: time: Duration,
    with_time_max: time_max: Duration,
    with_percent_max: percent_max: u32,
} }

impl Default for Ejections {
    fn default() -> Self {
        Self {
            failures: 5,
            time: Duration::from_secs(10),
            time_max: Duration::from_secs(300),
            percent_max: 50,
        }
    }
}

/// Which `Host` an upstream gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostPolicy {
    /// The client's: links, cookies and virtual hosts of the upstream are for that name.
    Keep,
    /// The upstream's own address.
    Upstream,
    /// This one.
    Fixed(String),
}
