//! How many requests each client may make in a time.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::{StatusCode, header};

use super::token_buckets::TokenBuckets;
use crate::config::Peer;
use crate::conn::Next;
use crate::message::{Problem, Request, Response};
use crate::web::client_address::ClientAddress;

/// A limit on the requests of each client: a bucket of tokens, of which each request takes one, and
/// which fills at a constant rate. A request without a token gets a 429, a problem, with
/// `Retry-After`.
///
/// A client is an IPv4 address or an IPv6 network of 64 bits, in which one client has as many
/// addresses as it likes. Behind proxies it is what the middleware
/// [`client_address`](super::client_address) has found, which has to come first; without it, all
/// clients of a proxy share a bucket. So do all clients without an address (of a Unix socket, or
/// hidden by a proxy). Another idea of a client is [`by`](Self::by).
///
/// All shards of a server share the buckets, in a table of a
/// [fixed size](Self::clients_max). While there are more clients than places, new clients begin
/// with fewer tokens: no client gains by that.
///
/// The fields `RateLimit` and `RateLimit-Policy` are not sent: their draft still changes.
///
/// ```
/// use std::time::Duration;
/// use straightline::sched::{self, sim};
/// use straightline::testing::Client;
/// use straightline::web::middleware::RateLimit;
/// use straightline::{Next, Request, Response, StatusCode};
///
/// sim::run(7, || {
///     let limited = RateLimit::new(10, Duration::from_secs(60)).burst(2).middleware();
///     let handler = move |request: &mut Request| {
///         limited(request, Next::new(&|_| Response::new(StatusCode::OK)))
///     };
///     let client = Client::new(handler);
///     client.get("/").send().assert_status(200);
///     client.get("/").send().assert_status(200);
///     client.get("/").send().assert_status(429).assert_header("retry-after", "6");
///     sched::sleep(Duration::from_secs(6));
///     client.get("/").send().assert_status(200);
/// });
/// ```
#[must_use = "`middleware` makes the function to wrap with"]
pub struct RateLimit {
    interval: Duration,
    burst: u32,
    clients_max: usize,
    key: Box<KeyOf>,
}

/// Whose bucket a request takes from.
type KeyOf = dyn Fn(&Request) -> Option<Key> + Send + Sync;

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Network(IpAddr),
    /// All clients without an address.
    Nameless,
    Text(String),
}

impl RateLimit {
    /// So many requests in each `period`, for each client. A burst may be as large as that.
    ///
    /// # Panics
    ///
    /// If `requests` or `period` is zero.
    #[track_caller]
    pub fn new(requests: u32, period: Duration) -> Self {
        assert!(
            requests > 0 && !period.is_zero(),
            "straightline: `RateLimit::new` with {requests} requests in {period:?}: it needs 1 \
             request and some time at least"
        );
        let interval = period / requests;
        let key = Box::new(|request: &Request| Some(network(request)));
        Self { interval, burst: requests, clients_max: CLIENTS_MAX, key }
    }

    /// How many requests a client may make at once, after a pause. Default: as many as in a period.
    ///
    /// # Panics
    ///
    /// If `requests` is zero.
    #[track_caller]
    pub fn burst(mut self, requests: u32) -> Self {
        assert!(
            requests > 0,
            "straightline: `RateLimit::burst(0)` lets no request in: say 1 or more"
        );
        self.burst = requests;
        self
    }

    /// How many clients can have a bucket that is not full, at the same time. Default: 65,536,
    /// which takes 1.1 MiB.
    pub fn clients_max(mut self, clients: usize) -> Self {
        self.clients_max = clients;
        self
    }

    /// Counts by a text instead of the address, such as the name of a user; a request for which it
    /// is `None` is not limited. It must not wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::Request;
    /// use straightline::web::middleware::RateLimit;
    ///
    /// fn api_key(request: &Request) -> Option<String> {
    ///     request.headers().get("x-api-key").map(str::to_owned)
    /// }
    ///
    /// let limit = RateLimit::new(1000, Duration::from_secs(3600)).by(api_key);
    /// # let _ = limit;
    /// ```
    pub fn by(mut self, key: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        self.key = Box::new(move |request| key(request).map(Key::Text));
        self
    }

    /// The function to wrap a server, a router or a route with. Each call makes a table of its own.
    pub fn middleware(
        self,
    ) -> impl Fn(&mut Request, Next<'_>) -> Result<Response, Problem> + Send + Sync + 'static {
        let Self { interval, burst, clients_max, key } = self;
        let buckets = TokenBuckets::new(interval, burst, clients_max);
        move |request, next| {
            if let Some(key) = key(request) {
                buckets.take(&key).map_err(too_many)?;
            }
            Ok(next.run(request))
        }
    }
}

/// The network that counts as one client.
fn network(request: &Request) -> Key {
    let address = match request.extensions().get::<ClientAddress>() {
        Some(client) => client.ip(),
        None => match request.peer() {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix | Peer::Named(_) => None,
        },
    };
    match address {
        None => Key::Nameless,
        Some(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Key::Network(Ipv6Addr::from(network).into())
        }
        Some(address) => Key::Network(address),
    }
}

fn too_many(wait: Duration) -> Problem {
    // A client that comes back in the same second would come too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(StatusCode::TOO_MANY_REQUESTS)
        .with_detail("There were too many requests. Try again later.")
        .with_header(header::RETRY_AFTER, seconds.max(1))
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("interval", &self.interval)
            .field("burst", &self.burst)
            .field("clients_max", &self.clients_max)
            .finish_non_exhaustive()
    }
}

/// The default number of clients. Arbitrary: more than a small service has at a time.
const CLIENTS_MAX: usize = 65_536;
