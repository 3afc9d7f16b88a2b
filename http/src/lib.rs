//! straightline: long-lived HTTP services whose handlers read like plain blocking code.
//!
//! ```no_run
//! use straightline::{IntoResponse, Request, Server, StatusCode};
//!
//! fn hello(request: &mut Request) -> impl IntoResponse {
//!     match request.path() {
//!         "/" => Ok("Hello, World!\n"),
//!         _ => Err(StatusCode::NOT_FOUND),
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     Server::builder().bind("127.0.0.1:8080").stop_on_signals().build(hello)?.run()?;
//!     Ok(())
//! }
//! ```
//!
//! A handler is a function from a request to a response. It runs on a *fiber*: where it waits (for
//! the rest of a body, for [`sched::sleep`], for a [`net::TcpStream`] of its own) other requests go
//! on, on the same thread. There is nothing to `await`, and nothing needs to be `Send`.
//!
//! Thread-locals work, with one exception: *never wait inside of a closure that ties state to the
//! thread*, such as the initialiser of a lazy `thread_local!` or of a `LazyLock`, `scoped_tls` or
//! `slog_scope::scope`. Other requests of the thread run meanwhile, and find the state half-made:
//! two initialisers run, a thread blocks for ever, scopes end out of order. A client that connects
//! at its first use is a [`shard_local!`](sched::shard_local!), or a [`sched::sync::Lazy`]; what
//! belongs to one request is a [`fiber_local!`](sched::fiber_local!). [`sched`] has the details;
//! `STRAIGHTLINE_TRIPWIRE=1` in the environment has such waits reported.
//!
//! # Bodies
//!
//! A request's [`Body`] is a [`Read`](std::io::Read), straight from the connection: what nobody
//! asks for stays with the client. A response is bytes in memory, or a function that writes to a
//! [`BodyWriter`] ([`Response::stream`]), a reader, or a file; it may also hand over the connection
//! ([`Response::upgrade`], [`Response::tunnel`]). Whatever its size, a body takes constant memory.
//!
//! | | HTTP/1.1 | HTTP/1.0 |
//! |---|---|---|
//! | length known | `Content-Length` | `Content-Length` |
//! | not known | chunks, then trailers if there are any | until the connection closes |
//! | HEAD, 204, 205, 304 | no body; the header fields that a GET would get | likewise |
//!
//! A response whose body fails half-way ends the connection, so that no client takes it for whole:
//! without its last chunk, short of its length, or, where the end of the connection would be the
//! end of the body, with a reset. If nothing of it has left, the client gets a 500 instead.
//!
//! # What is refused
//!
//! A request that two parties could read differently ([`RefusalKind`] lists the reasons, `Limits`
//! the bounds): the client gets the status and a line of text, and the connection closes.
//!
//! # What is bounded
//!
//! Time and numbers are, by default: [`Timeouts`] says how long clients and handlers may take,
//! [`Capacity`] how many there may be, and [`Builder::busy_limit`] and [`Builder::stuck_limit`]
//! when others go on in the place of a thread that does not come back. What each does when it is
//! hit is in `docs/overload.md` of the repository.
//!
//! # What is told
//!
//! Whatever happens is an [`Event`]: [`Hooks`] get it, and the log does. [`ServerHandle::metrics`]
//! counts, for Prometheus too, [`Builder::access_log`] has a line for each request, and
//! [`ServerHandle::inspect`] lists every fiber with its request line.
//!
//! # The layers
//!
//! - this crate: the server, requests and responses;
//! - [`net`]: std's socket types on fibers;
//! - [`sched`]: the fibers themselves.
//!
//! # What it does not do yet
//!
//! TLS, HTTP/2.

#![forbid(unsafe_code)]

mod body;
mod body_error;
mod config;
mod conn;
mod control;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod payload;
mod proto;
mod request;
mod response;
mod server;
mod signal;
mod telemetry;
mod wire;

/// The examples of `docs/simulation.md`, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/simulation.md")]
pub struct SimulationGuide;

pub use straightline_net as net;
pub use straightline_sched as sched;

pub use bytes::Bytes;
pub use http::header;
pub use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

pub use body::{Body, Lines};
pub use body_error::BodyError;
pub use config::{
    Address, AllStuck, Capacity, Full, IntoAddress, OnDisconnect, Pace, Peer, Phase, Timeout,
    Timeouts, WhenFull,
};
pub use control::{Metrics, ServerHandle};
pub use proto::{Headers, Limits, Refusal, RefusalKind};
pub use request::Request;
pub use response::{IntoResponse, Response};
pub use server::{Builder, Handler, Server, ShutdownReport};
pub use signal::StopSignal;
pub use telemetry::{AccessLogFormat, Counters, Event, Hooks, Latencies, LogHooks};
pub use wire::{BodyWriter, Upgraded};
