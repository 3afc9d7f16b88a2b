//! The machinery of a connection: everything between the protocol's pure functions and a request.
//!
//! `host` is what the connections of a shard have in common. `transport` is what a connection runs over, `link` that and what waits to be sent, `patience` and
//! `meter` how long its client is waited for, `buffers` the memory for both ways, `held` what that
//! counts for, `body_in` a request's body, `body_out` a response's that is written piece by piece,
//! `disconnect` the eye on a client that may go, `upgrade` another protocol, `linger` the careful
//! end.

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
mod meter;
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
pub(crate) use idle::RestEnd;
pub(crate) use linger::linger;
pub(crate) use link::Link;
pub(crate) use output::OUTPUT_BYTES_MAX;
pub(crate) use protocol::Protocol;
pub(crate) use transport::Transport;
pub use upgrade::Upgraded;
