//! A reverse proxy: a handler that passes requests on to upstream servers over HTTP/1.1.
//!
//! ```no_run
//! use straightline::Server;
//! use straightline::proxy::Proxy;
//!
//! let proxy = Proxy::builder().upstream("127.0.0.1:9000").upstream("127.0.0.1:9001").build()?;
//! Server::builder().bind("127.0.0.1:8080").shutdown_on_signals().build(proxy)?.run()?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What is passed on
//!
//! - The method, the target in its origin form (`*` for OPTIONS of a whole server), and all fields
//!   but those of the connection (RFC 9110 section 7.6.1): `Connection` and what it names,
//!   `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authorization`, `TE`,
//!   `Transfer-Encoding`, `Upgrade`. The `Host` is the client's ([`HostPolicy`]); `Via`,
//!   `Forwarded` and `X-Forwarded-For`, `-Host` and `-Proto` are written anew
//!   ([`ForwardedPolicy`]).
//! - The body, both ways, in flat memory, as it arrives. Its framing is written anew on both sides,
//!   and the fields that say where a body ends are never copied. A body of at most 16 KiB and
//!   known length is read before an upstream is chosen.
//! - Trailers, both ways, except those that RFC 9110 section 6.5.1 forbids.
//! - The status and the fields of the response, the `Date` too. The reason phrase is the usual one
//!   of the status, and names of fields have small letters.
//! - `Expect: 100-continue`: the client is asked for its body when the upstream asks for it, or
//!   after [`ProxyTimeouts::expect_continue`]. Other interim responses are passed on to clients of
//!   HTTP/1.1.
//! - Upgrades to `websocket`, and to what else [`ProxyBuilder::upgrades`] allows. CONNECT and TRACE
//!   are answered with a 405.
//!
//! # Behind a router
//!
//! `Router::mount("/shop", proxy)` passes the path on without `/shop`; the route
//! `route("/shop/{*path}", any(proxy))` passes it on whole. A `Location` of the upstream is
//! not rewritten. The server's own limits apply in front of the proxy: for bodies of more than 2
//! MiB, raise [`Limits::body_bytes`](crate::Limits::body_bytes).
//!
//! # What fails
//!
//! - If an upstream cannot be connected to, another one is tried, [`ProxyLimits::attempts`] in all.
//!   Then the client gets a 502, or after a timeout a 504.
//! - If an idle connection is closed before a byte of the response, the request is sent once more,
//!   provided that it is idempotent and its body is not streamed. Otherwise: 502.
//! - If the head of the response does not come in time, or the request is not taken: 504.
//! - If the head is malformed or ambiguous, or there are too many interim responses: 502.
//! - If the body of the response ends early, stalls or is malformed, the client's connection ends
//!   in a way that shows it: too few bytes, no last chunk, or a reset. If nothing of the response
//!   has left yet, the client gets a 502.
//! - If the response comes before the whole request is sent, the client gets it. The upload goes on
//!   until the response ends, and then the upstream's connection is closed. A response that has
//!   arrived whole, or is no success, says `Connection: close` to the client then: the rest of the
//!   upload is not read.
//! - If the end of a response could be read differently, which only a 204 or bytes behind the end
//!   can cause without an error, the client gets it, and the upstream's connection is closed.
//! - If all upstreams have [`ProxyLimits::connections`] requests, the request waits for its turn,
//!   for [`ProxyTimeouts::queue`] at most; then 503. If no upstream is healthy: 503 at once.
//!
//! If the client disconnects, the connection to the upstream is closed. The handler's own timeout
//! and deadlines around it apply as well: they unwind, and the connection is closed.
//!
//! # Upstreams
//!
//! A request goes to the upstream with the fewest requests in flight, of all shards together. Each
//! shard keeps idle connections, of which the one that was used last is used next. An upstream that
//! [fails](Ejections) several requests in a row gets none for a while, and one that fails its
//! [health checks](HealthCheck) gets none until it passes them. What happens is a [`ProxyEvent`],
//! and counted in [`ProxyMetrics`].
//!
//! # What is missing
//!
//! There is no cache, and no HTTP/2. TLS to upstreams is the matter of a
//! [connector](ProxyBuilder::connector).

mod body_decoder;
mod connection;
mod download;
mod events;
mod exchange;
mod failure;
mod forwarded;
mod head_reader;
mod health;
mod hop_by_hop;
mod keeper;
mod metrics;
mod outgoing;
mod pool;
#[allow(clippy::module_inception)] // the folder has the parts of it
mod proxy;
mod queue;
mod request_head;
mod respond;
mod settings;
mod shared;
mod tunnel;
mod upload;
mod upstreams;

#[cfg(feature = "internals")]
pub(crate) use body_decoder::{BodyDecoder, BodyNext};
pub use events::ProxyEvent;
pub use forwarded::ForwardedPolicy;
pub use metrics::{ProxyMetrics, UpstreamNumbers};
pub use proxy::{Proxy, ProxyBuilder};
pub use settings::{Ejections, HealthCheck, HostPolicy, ProxyLimits, ProxyTimeouts};
