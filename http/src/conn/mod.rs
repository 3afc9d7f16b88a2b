//! One connection, as a straight line: read a head, run the handler, write the response, again.
//!
//! `serve` is that line. It calls the files below it, each of which calls only those that come
//! later here: `stream` answers with what is not in memory, `settle` ends a request, `errors` is
//! what is told of all that goes wrong, `access` what the access log is, `respond` encodes a
//! response, `connection` is the state that all of them share.
//!
//! A connection between two requests with nothing buffered holds neither a stack nor a buffer: its
//! line ends there, and readiness starts it again.

mod access;
mod connection;
mod errors;
mod respond;
mod serve;
mod settle;
mod stream;

pub(crate) use connection::{Connection, Service};
pub(crate) use serve::serve_episode;
