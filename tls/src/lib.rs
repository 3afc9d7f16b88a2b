//! TLS on straightline's fibers, for servers and clients, over any stream.
//!
//! - [`TlsConfig`] is a server's side: certificates by name, versions, tickets, certificates of
//!   clients, and a reload that no connection notices.
//! - [`TlsConnector`] is a client's side: roots, names, client certificates.
//! - [`TlsStream`] is the connection. It reads and writes like a socket, and as a
//!   [`Transport`](straightline_net::Transport) it can be served by the HTTP server, which makes
//!   these streams itself (`straightline::ServerBuilder::tls`).
//! - [`TlsProvider`] says who does the cryptography, and [`HandshakeLimits`] how much of it is done
//!   at once.
//!
//! The protocol is [rustls](https://docs.rs/rustls)'s. What is here runs it on fibers: a handshake
//! is straight-line code that a deadline may unwind, its cryptography takes turns and keeps no
//! shard from its other fibers, and a connection at rest holds no buffer.

#![forbid(unsafe_code)]

mod asked_name;
mod buffer;
mod clock;
mod config;
mod connector;
mod handshake;
mod handshake_error;
mod handshake_limits;
mod handshakes;
mod info;
mod memory_budget;
mod provider;
mod pump;
mod read_write;
mod session;
mod stream;
mod tickets;
mod version;

pub use config::{
    ClientAuth, TlsConfig, TlsConfigBuilder, TlsConfigError, TlsConfigErrorKind, TlsSetting,
    TlsWarning, TlsWarningKind,
};
pub use connector::{TlsConnector, TlsConnectorBuilder};
pub use handshake_error::{HandshakeError, HandshakeFailure};
pub use handshake_limits::HandshakeLimits;
pub use info::TlsInfo;
pub use memory_budget::MemoryBudget;
pub use provider::{TlsProvider, UnknownTlsProvider};
pub use rustls::pki_types::CertificateDer;
pub use stream::TlsStream;
pub use version::TlsVersion;
