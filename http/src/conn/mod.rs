//! One connection, as a straight line: read a head, run the handler, write the response, again.
//!
//! `serve` is that line. It calls the files below it, each of which calls only those that come
//! later here: `stream` answers with what is not in memory, `settle` ends a request, `faults` is
//! what is told of all that goes wrong, `access` what the access log is, `respond` encodes a
//! response, `connection` is the state that all of them share.
//!
//! `transport` is what the line runs over, `link` that and what waits to be sent, `patience` and
//! `meter` how long its client is waited for, `buffers` the memory for both ways, `body_in` a
//! request's body, `body_out` a response's that is written piece by piece, `disconnect` the eye on
//! a client that may go, `upgrade` another protocol, `linger` the careful end.
//!
//! A connection between two requests with nothing buffered holds neither a stack nor a buffer: its
//! line ends there, and readiness starts it again.

mod access;
mod body_in;
mod body_out;
mod buffers;
mod connection;
mod disconnect;
mod faults;
mod held;
mod linger;
mod link;
mod meter;
mod patience;
mod respond;
mod serve;
mod settle;
mod stream;
mod transport;
mod upgrade;

pub(crate) use body_in::BodyIn;
pub use body_out::BodyWriter;
pub(crate) use buffers::{BufferPool, Buffers};
pub(crate) use connection::{Connection, Service};
pub(crate) use linger::linger;
pub(crate) use link::{Link, RestEnd};
pub(crate) use transport::Transport;
pub use upgrade::Upgraded;
