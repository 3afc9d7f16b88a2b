//! The machinery of a connection: what lies between the protocol's pure functions and a request.
//!
//! From the bottom up, each file knows only those before it:
//!
//! - `transport` is what a connection runs over, `linger` its careful end, `disconnect` the eye on
//!   a client that may go;
//! - `buffers` is the memory for both ways, and `held` what a request has the server hold beside
//!   it;
//! - `host` is what the connections of a shard have in common;
//! - `idle` is the rest between two requests, `exchange` the request at hand, `min_rate` a client's
//!   credit of time, `pacing` all that bounds a request's time, `output` what waits to be written,
//!   `protocol` what an upgraded connection and a drain know of each other;
//! - `link` puts these together;
//! - `body_in` is a request's body, `body_out` a response's that is written piece by piece,
//!   `upgrade` a connection that is another protocol's.

mod body_in;
mod body_out;
mod buffers;
mod disconnect;
mod exchange;
mod held;
mod host;
mod idle;
mod linger;
mod link;
mod min_rate;
mod output;
mod pacing;
mod protocol;
mod transport;
mod upgrade;

pub(crate) use body_in::{BodyIn, Unread};
pub use body_out::BodyWriter;
pub(crate) use buffers::{Buffers, Input};
pub(crate) use exchange::Expectation;
pub(crate) use host::Host;
pub(crate) use idle::IdleEnd;
pub(crate) use linger::linger;
pub(crate) use link::Link;
pub(crate) use output::OUTPUT_BYTES_MAX;
pub(crate) use protocol::Protocol;
pub(crate) use transport::Transport;
pub use upgrade::Upgraded;
