//! Calls to other servers: an HTTP client on fibers, retries, and hedging.
//!
//! The protocol is done by [`ureq`], a client in blocking style. Its connections are those of this
//! library. So a call blocks its fiber only, and the deadline of a handler holds for everything
//! that the handler calls.
//!
//! ```
//! use straightline::client::Client;
//! use straightline::{HandlerError, Request, Server};
//!
//! let client = Client::new();
//! let handler = move |request: &mut Request| -> Result<String, HandlerError> {
//!     let url = format!("http://stock.internal/items{}", request.path());
//!     let mut response = client.get(url).header("accept", "text/plain").call()?;
//!     Ok(response.body_mut().read_to_string()?)
//! };
//! Server::builder().bind("127.0.0.1:0").build(handler)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A [`Client`] is an agent of `ureq`, so [its documentation](ureq) is that of the calls. `ureq` is
//! a part of this API, in the version that `Cargo.toml` names. What this module does, and what its
//! defaults are:
//!
//! - **Deadlines.** A call, and a read of a body, ends with the
//!   [deadline](straightline_sched::deadline()) or the cancel of its fiber, in whatever phase it
//!   is: it unwinds, and closes its connection. So a call of a handler needs no timeout of its own.
//!   `ureq`'s timeouts work as well; their clock is the real one, also in a simulation.
//! - **Connections.** Each shard keeps its own, so no shard waits for another one's connection.
//!   [`ClientLimits`] bounds them for each host and in all, and how long a call waits for one. A
//!   connection is used again only behind a complete response. A body that is dropped half-read
//!   closes it. If the server has closed an idle connection and a request with an idempotent method
//!   meets that, the request is made again on a new connection (RFC 9112 section 9.3.1). A request
//!   with another method is an error then.
//! - **Statuses.** A response with the status 404 or 500 is a response, and no error, as in
//!   `reqwest`.
//! - **Bodies.** A response's body is a stream that holds its connection. `read_to_string` and
//!   `read_to_vec` stop with an error at 10 MiB; `body_mut().with_config().limit(bytes)` sets
//!   another limit. A request's body is sent as it is read. A body whose end only the end of the
//!   connection tells is an error if the connection was reset. Bodies are not decompressed.
//! - **Heads.** The head of a response may have 32 KiB and 128 fields.
//! - **Floods.** The fields behind a chunked body, interim responses (1xx) and the body of a
//!   redirect are read and forgotten. A server that sends them for ever is bounded by the deadline
//!   alone.
//! - **Redirects.** Ten, without the `Authorization` field.
//! - **Addresses.** Any, also of this machine and of private networks. A client for URLs that users
//!   have named should [refuse](ClientBuilder::refuse) those.
//! - **Proxies.** Only if the program [sets](ClientBuilder::proxy) one. `http://` too goes through
//!   a tunnel (CONNECT).
//! - **TLS.** With the feature `tls` or `tls-aws-lc`. Without them a call with `https` is an error
//!   that says so.
//! - **User agent.** `straightline/VERSION`.
//! - **A stop.** `Agent::shutdown` refuses new calls. Calls that run go on to their end.
//!
//! A call that belongs to a trace passes the trace on in its header fields: `web::TraceContext` has
//! their values, for `header("traceparent", ..)`. An id of the request goes the same way.
//!
//! [`Retry`] makes attempts again, and [`Hedge`] makes a second one beside a slow one; a
//! [`RetryBudget`] bounds both. They work with any closure, also without this client.
//!
//! A response stays on the shard that made its call: on another one, a read of its body is an
//! error.

mod client_limits;
mod client_tls;
mod connect_error;
mod connection;
mod connector;
mod dialer;
mod hedge;
mod http_client;
mod pool;
mod pools;
mod refused_address;
mod replay;
mod retry;
mod retry_budget;
mod route;
mod stream_wait;
mod tunnel;
mod verdict;

pub use client_limits::ClientLimits;
pub use connect_error::ConnectError;
pub use hedge::Hedge;
pub use http_client::{Client, ClientBuilder};
pub use refused_address::RefusedAddress;
pub use retry::Retry;
pub use retry_budget::RetryBudget;
pub use ureq;
pub use verdict::Verdict;
