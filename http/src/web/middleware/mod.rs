//! Functions around handlers, for a router, a part of it, or a whole server.
//!
//! Each is a function of a request and [`Next`](crate::Next), or a value with settings that makes
//! one. It goes to [`ServerBuilder::wrap`](crate::ServerBuilder::wrap), or to the `wrap` of a
//! router or a route. What a middleware has found out, the handler finds among the
//! [extensions](crate::Request::extensions) of the request.
//!
//! | middleware | what it does |
//! |---|---|
//! | [`log()`] | a line in the log for each request |
//! | [`request_id()`] | an id for each request, `X-Request-Id` |
//! | [`trace_context()`] | the trace that the request belongs to, `traceparent` |
//! | [`client_address()`] | the client behind trusted proxies |
//! | [`allowed_hosts()`] | which names the server is known by |
//! | `basic_auth`, `bearer_auth` | who the user is; with the feature `auth` |
//! | [`Cors`] | which other sites' pages may call |
//! | [`SecurityHeaders`] | fields that tell browsers to be careful |
//! | [`RateLimit`] | how many requests each client may make |
//! | `Compression` | smaller responses; with the features `gzip`, `brotli`, `zstd` |
//!
//! The first one that is added is the outermost: it sees the request first and the response last.
//! None of them sees what the server refuses before the handler: malformed heads, bodies that are
//! announced too long, overload.
//!
//! ```
//! use std::time::Duration;
//! use straightline::web::TrustedProxies;
//! use straightline::web::middleware::{self, Cors, RateLimit, SecurityHeaders};
//! use straightline::{Networks, Request, Server};
//!
//! let proxies = TrustedProxies::by_x_forwarded_for(Networks::new(["10.0.0.0/8"])?);
//! let server = Server::builder()
//!     .bind("127.0.0.1:0")
//!     .wrap(middleware::request_id)
//!     .wrap(SecurityHeaders::new().middleware())
//!     .wrap(Cors::new().middleware())
//!     // Before the rate limit, which counts the clients and not the proxy.
//!     .wrap(middleware::client_address(proxies))
//!     .wrap(RateLimit::new(100, Duration::from_secs(1)).middleware());
//! server.build(|_: &mut Request| "hi\n")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allowed_hosts;
#[cfg(feature = "auth")]
mod auth;
#[cfg(feature = "auth")]
mod basic_auth;
#[cfg(feature = "auth")]
mod bearer_auth;
mod client_address;
mod cors;
mod log;
mod rate_limit;
mod request_id;
mod security_headers;
mod token_buckets;
mod trace_context;

pub use allowed_hosts::allowed_hosts;
#[cfg(feature = "auth")]
pub use auth::same_secret;
#[cfg(feature = "auth")]
pub use basic_auth::basic_auth;
#[cfg(feature = "auth")]
pub use bearer_auth::bearer_auth;
pub use client_address::client_address;
pub use cors::Cors;
pub use log::log;
pub use rate_limit::RateLimit;
pub(super) use request_id::id_of;
pub use request_id::request_id;
pub use security_headers::SecurityHeaders;
pub use trace_context::{TraceContext, trace_context};

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub use super::coding::{Coding, Compression};
