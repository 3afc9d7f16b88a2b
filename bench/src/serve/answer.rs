//! The response of all servers, and their listeners.
//!
//! They answer [`PATH`] with [`BODY`] and the same three header fields, and open their listeners
//! with the same options.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use ::straightline::net::ListenOptions;
use straightline_harness::READY;

/// Opens a listener as the straightline server opens its own; accepted connections inherit
/// `TCP_NODELAY`.
pub(super) fn listen() -> io::Result<TcpListener> {
    let listener = ListenOptions::new().bind(ANY_PORT)?.into_std()?;
    announce(listener.local_addr()?);
    Ok(listener)
}

pub(super) fn announce(address: impl fmt::Display) {
    println!("{READY}{address}");
}

/// The path that the load asks for.
pub(crate) const PATH: &str = "/plaintext";

/// The body of the response.
pub(crate) const BODY: &str = "Hello, World!";

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
