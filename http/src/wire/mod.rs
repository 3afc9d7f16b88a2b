//! The machinery of a connection, between the pure functions of the protocol and a request.
//!
//! From the bottom up, each file knows only the files before it:
//!
//! - `client_stream` is the stream under a connection, `linger` closes it with care, `disconnect`
//!   notices that a client has gone;
//! - `buffers` is the memory for reading and writing, and `held` the memory that a request holds in
//!   addition;
//! - `connection_peer` is the client's address, and `proxied_stream` reads it from the header of a
//!   proxy;
//! - `host` is what the connections of a shard share;
//! - `last_head` is what is remembered of a client's last head;
//! - `idle` is the idle time between two requests, `exchange` the current request, `rate_meter` a
//!   client's credit of time, `pacing` the timeouts of a request, `output` the unsent bytes,
//!   `protocol` the state that an upgraded connection and a drain share;
//! - `open_connection` is what a connection keeps while it is idle, and `no_client` the stream of a
//!   link without a client;
//! - `link` combines these, and `link_pool` parts a connection that is idle from its link;
//! - `body_in` is a request's body, `body_out` a response's body that is written piece by piece,
//!   `upgrade` a connection that has switched to another protocol, and `tried_stream` the same for
//!   a protocol that waits by itself.

mod body_in;
mod body_out;
mod buffers;
mod client_stream;
mod connection_peer;
mod detached;
mod disconnect;
mod exchange;
mod held;
mod host;
mod idle;
mod last_head;
mod linger;
mod link;
mod link_pool;
mod no_client;
mod open_connection;
mod output;
mod pacing;
mod protocol;
mod proxied_stream;
mod rate_meter;
#[cfg(feature = "websocket")]
mod tried_stream;
mod upgrade;
mod wrapper_fields;

pub(crate) use body_in::{BodyIn, Received, Unread};
pub(crate) use body_out::ClientBody;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub(crate) use body_out::LateOutput;
pub(crate) use buffers::{Buffers, Input};
pub(crate) use client_stream::ClientStream;
pub(crate) use connection_peer::{ConnectionPeer, ProxiedPeer};
pub(crate) use detached::detached;
pub(crate) use exchange::Expectation;
pub(crate) use host::Host;
pub(crate) use idle::IdleEnd;
pub(crate) use linger::{close, linger};
pub(crate) use link::{AtRest, Link, OpenConnection};
pub(crate) use link_pool::LinkPool;
pub(crate) use output::OUTPUT_BYTES_MAX;
#[cfg(feature = "websocket")]
pub(crate) use pacing::Room;
pub(crate) use protocol::Protocol;
pub(crate) use proxied_stream::ProxiedStream;
#[cfg(feature = "websocket")]
pub(crate) use tried_stream::TriedStream;
pub use upgrade::Upgraded;
