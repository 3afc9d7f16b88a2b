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
//!     Server::builder().bind("127.0.0.1:8080").stop_on_signals().build(hello)?.run()
//! }
//! ```
//!
//! A handler is a function from a request to a response. It runs on a *fiber*: where it waits (for
//! the rest of a body, for [`sched::sleep`], for a [`net::TcpStream`] of its own) other requests go
//! on, on the same thread. There is nothing to `await`, and nothing needs to be `Send`.
//!
//! # The layers
//!
//! - this crate: the server, requests and responses;
//! - [`net`]: std's socket types on fibers;
//! - [`sched`]: the fibers themselves.
//!
//! # What it does not do yet
//!
//! Timeouts and caps against slow or too many clients, streamed responses, CONNECT and upgrades,
//! TLS, HTTP/2.

#![forbid(unsafe_code)]

mod conn;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod proto;
mod request;
mod response;
mod server;
mod signal;

/// The examples of `docs/simulation.md`, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/simulation.md")]
pub struct SimulationGuide;

pub use straightline_net as net;
pub use straightline_sched as sched;

pub use bytes::Bytes;
pub use http::header;
pub use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

pub use proto::{Headers, Limits, Refusal, RefusalKind};
pub use request::{Body, Request};
pub use response::{IntoResponse, Response};
pub use server::{Address, Builder, Counters, Handler, IntoAddress, Peer, Server, ServerHandle};
pub use signal::StopSignal;
