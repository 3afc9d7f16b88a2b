//! An admin listener: metrics, health, readiness, a list of the fibers, the level of the log and
//! the drain of a server, on an address of its own. There is none unless the program starts one.
//!
//! ```no_run
//! use straightline::admin::Admin;
//! use straightline::{Request, Server};
//!
//! let server = Server::builder().bind("0.0.0.0:8080").shutdown_on_signals();
//! let server = server.build(|_: &mut Request| "hello\n")?;
//! let _admin = Admin::of(&server).start("127.0.0.1:9090")?;
//! server.run()?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - `GET /metrics`: all [metrics](crate::Metrics) in the text format of Prometheus.
//! - `GET /healthz`: 200 if a thread of the server answers within a second, otherwise 503. For a
//!   probe that restarts the process.
//! - `GET /readyz`: as `/healthz`, and 503 once a shutdown has begun. For a probe that sends
//!   clients.
//! - `GET /fibers`: all fibers, with their requests and with what they wait for. `?backtraces=10`
//!   adds that many backtraces of each thread, up to 64.
//! - `GET /settings`: the effective [settings](crate::Settings).
//! - `GET /log-level`: the level of the log. `PUT /log-level?level=debug` changes it, and
//!   `&seconds=600` behind that for ten minutes only. Needs [`Admin::log_level`].
//! - `POST /drain`: 202, and a [shutdown](crate::ServerHandle::shutdown) begins, if none has begun.
//!
//! It has a thread of its own, so it answers also if all threads of the server are stuck, and while
//! the server drains.
//!
//! **There are no passwords.** A client that reaches the address can end the server, and can read
//! the request lines of its clients. So the address belongs on the loopback, on a Unix socket, or
//! on a network that only the operator reaches. A request with an `Origin` is refused with 403,
//! because it comes from a page in a browser. A request for a host that is neither an address nor
//! `localhost` is refused with 421, because a page may reach the listener by a name of its own (DNS
//! rebinding); [`Admin::allowed_hosts`] allows names. The probes of Kubernetes name the address,
//! and clients of a Unix socket may name any host. For a password, [`Admin`] is a handler like any
//! other: build a server with it, and put a wrapper around it.

mod admin_server;
mod handler;
mod log_level;

pub use admin_server::AdminServer;
pub use handler::Admin;
