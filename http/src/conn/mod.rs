//! One connection: read a request's head, run the handler, write the response, and again.
//!
//! Each file calls only the files that this list names after it:
//!
//! - `serve` is the loop over the requests;
//! - `stream` sends responses that are not bytes in memory, and runs upgraded protocols;
//! - `settle` ends a request;
//! - `errors` chooses the response to what goes wrong, and records it;
//! - `access` writes the access log, `respond` encodes a response;
//! - `connection` is the state that all of these functions are given.
//!
//! A connection is idle between two requests if nothing is buffered. Then the activation of its
//! fiber ends, and the connection holds neither a stack nor a buffer. A wake-up begins the next
//! activation.

mod access;
mod connection;
mod errors;
mod respond;
mod serve;
mod settle;
mod stream;

pub(crate) use connection::{Connection, Service};
pub(crate) use serve::serve_activation;
