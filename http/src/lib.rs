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
//!     Server::builder().bind("127.0.0.1:8080").shutdown_on_signals().build(hello)?.run()?;
//!     Ok(())
//! }
//! ```
//!
//! A handler is a function from a request to a response. It runs on a *fiber*. While it waits (for
//! the rest of a body, in [`sched::sleep`], on its own [`net::TcpStream`]) the same thread runs
//! other requests. There is nothing to `await`, and nothing needs to be `Send`.
//!
//! Thread-locals work, with one exception: *never wait inside a closure that ties state to the
//! thread*, such as the initialiser of a lazy `thread_local!` or of a `LazyLock`, `scoped_tls` or
//! `slog_scope::scope`. Other requests of the thread run meanwhile and find the state half-made:
//! two initialisers run, a thread blocks for ever, or scopes end in the wrong order. For a client
//! that connects at its first use, take a [`shard_local!`](sched::shard_local!) or a
//! [`sched::sync::Lazy`]. For data of one request, take a [`fiber_local!`](sched::fiber_local!).
//! [`sched`] has the details. With `STRAIGHTLINE_TRIPWIRE=1` in the environment such waits are
//! reported.
//!
//! # Features
//!
//! Beside the server, without a feature: [`sched`] (fibers), [`net`] (sockets), [`fs`] and
//! [`process`] (files and programs, which block the fiber alone), [`sse`] (event streams),
//! [`systemd`] and [`admin`] (services in production), and the parts of [`web`] that need no other
//! crate.
//!
//! | feature | what it adds |
//! |---|---|
//! | `web` | the kit: routes, JSON, forms, cookies, files, compression; see [`web`] |
//! | `testing` | `testing::Client`, for the tests of a program |
//! | `websocket`, `websocket-deflate` | `websocket`, and compressed messages |
//! | `client` | `client::Client`: calls to other servers, retries, hedging; with `json` also JSON |
//! | `proxy` | `proxy::Proxy`: a reverse proxy |
//! | `tls-aws-lc` or `tls` | HTTPS, of the server and of the client; each needs a C compiler |
//! | `zstd` | zstd for compression; needs a C compiler |
//! | `tracing` | `sched::tracing`: spans that follow the fiber |
//! | `tokio-io`, `futures-io` | `compat`: asynchronous crates over our streams |
//!
//! Databases are a crate of their own, `straightline-db`.
//!
//! # Bodies
//!
//! The [`Body`] of a request is a [`Read`](std::io::Read) that reads directly from the connection:
//! bytes that the handler does not read stay with the client. A response is bytes in memory, a
//! function that writes to a [`BodyWriter`] ([`Response::stream`]), a reader, or a file. It can
//! also pass the connection to the handler ([`Response::upgrade`], [`Response::tunnel`]). A
//! streamed body takes constant memory, whatever its size.
//!
//! | | HTTP/1.1 | HTTP/1.0 |
//! |---|---|---|
//! | length known | `Content-Length` | `Content-Length` |
//! | not known | chunks, then trailers if there are any | until the connection closes |
//! | HEAD, 204, 205, 304 | no body; the header fields that a GET would get | likewise |
//!
//! If the body of a response fails half-way, the connection ends in a way that the client notices:
//! without the last chunk, before the announced length, or with a reset where a closed connection
//! would mean the end of the body. If no byte of the response has been sent yet, the client gets a
//! 500.
//!
//! # What is refused
//!
//! The server refuses a request that two parsers could read differently, and a request that exceeds
//! a limit. [`RefusalKind`] lists the reasons, [`Limits`] the bounds. The client gets a status and
//! a line of text, and the connection closes.
//!
//! # What is bounded
//!
//! Times and numbers are bounded by default. [`Timeouts`] bounds the time of clients and handlers,
//! and [`Capacity`] their number. [`ServerBuilder::busy_limit`] and [`ServerBuilder::stuck_limit`]
//! say when another thread takes over for a thread that a handler keeps. [`guide::overload`] says
//! what happens at each limit.
//!
//! # What is reported
//!
//! Everything that happens is an [`Event`], which [`Observer`] and the log receive.
//! [`ServerHandle::metrics`] has the counters, also for Prometheus. [`ServerBuilder::access_log`]
//! writes a line for each request. [`ServerHandle::inspect`] lists every fiber with its request
//! line.
//!
//! # WebSockets
//!
//! With the feature `websocket`, the module `websocket` opens WebSockets in handlers.
//!
//! # The layers
//!
//! - this crate: the server, requests and responses;
//! - [`net`]: std's socket types on fibers;
//! - [`sched`]: the fibers themselves;
//! - [`fs`] and [`process`]: std's files and child processes, for fibers.
//!
//! # Asynchronous crates
//!
//! [`sched::block_on`] runs a future on a fiber. With the feature `tokio-io` or `futures-io` the
//! module `compat` gives streams the asynchronous traits: [`net::TcpStream`], [`net::UnixStream`],
//! [`net::MemoryStream`] and [`Upgraded`].
//!
//! # Where to read on
//!
//! - [`guide::cookbook`]: recipes, from state and JSON to databases, tests and tracing.
//! - [`guide::hazards`]: what not to do on a fiber, what happens there, and what to use instead.
//!   Read it before you run existing code on fibers.
//! - [`guide::overload`]: what each timeout and each limit does.
//! - [`guide::deploy`] and [`guide::operations`]: how to run a server in production.
//! - [`guide::tls`]: HTTPS, by the features `tls` and `tls-aws-lc`.
//! - [`guide::simulation`]: how to test a handler in virtual time.
//! - [`guide::conformance`]: which requests are refused, and what other servers do.
//! - [`guide::drivers`]: the two drivers, and what each costs.
//! - [`guide::soundness`]: what safe code can rely on, and why.
//! - [`guide::stability`]: what is stable, and what an update may change.
//! - [`guide::threats`]: what an attacker can try, and what stops it.
//!
//! # What is missing
//!
//! There is no HTTP/2 yet.

#![forbid(unsafe_code)]

pub mod admin;
mod body_error;
#[cfg(feature = "client")]
pub mod client;
mod config;
mod conn;
mod control;
pub mod guide;
pub mod https;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod message;
mod proto;
#[cfg(feature = "proxy")]
pub mod proxy;
mod server;
mod signal;
pub mod sse;
pub mod systemd;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod web;
#[cfg(feature = "websocket")]
pub mod websocket;
mod wire;
mod with_fields;

pub use straightline_net as net;
pub use straightline_net::Transport;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
pub use straightline_net::compat;
pub use straightline_sched as sched;
pub use straightline_sched::{fs, process};
#[cfg(feature = "_tls")]
pub use straightline_tls as tls;

pub use bytes::Bytes;
pub use http::header;
pub use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

pub use body_error::BodyError;
pub use config::{
    Address, AddressError, AllStuck, AllowedHosts, Capacity, CapacityLimit, MinRate, NetworkError,
    Networks, OnDisconnect, OverloadPolicy, PanicPolicy, Peer, Phase, Setting, SettingOrigin,
    Settings, Timeout, Timeouts,
};
pub use conn::{ErrorContext, Next};
pub use control::{ConnectionEnd, Metrics, ServerHandle};
pub use message::{
    Body, BodyWriter, Extensions, HandlerError, IntoResponse, InvalidHeader, InvalidRequest, Lines,
    Problem, ProblemValue, Request, RequestBuilder, Response, ResponseBody,
};
pub use proto::{Headers, HeadersIter, Limits, ProxyHeaderError, Refusal, RefusalKind};
pub use server::{Handler, LocalServer, Server, ServerBuilder, Shareable, ShutdownReport};
pub use signal::ShutdownSignal;
pub use telemetry::{
    AccessLogFormat, Counters, Event, FinishedRequest, Latencies, LogLevel, LogLevelFilter,
    LogObserver, Observer, Outcome, RouteNumbers,
};

#[cfg(feature = "_tls")]
pub use telemetry::TlsMetrics;
pub use wire::Upgraded;
