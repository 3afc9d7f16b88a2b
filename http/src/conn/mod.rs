//! One connection: read a request's head, run the handler, write the response, and again.
//!
//! Each file calls only the files that this list names after it:
//!
//! - `serve` is the loop over the requests;
//! - `stream` sends responses that are not bytes in memory, and runs upgraded protocols;
//! - `rest` sends responses whose pieces come now and then, without a stack between them;
//! - `settle` ends a request;
//! - `handshake` is what comes before the first request;
//! - `errors` chooses the response to what goes wrong, and records it;
//! - `respond` encodes a response;
//! - `connection` is the state that all of these functions are given;
//! - `resting` is a response in the middle of which a connection rests, and `report` reports
//!   finished requests;
//! - `service` and `next` call the handler and the wrappers around it;
//! - `handler_faults` chooses the response to what goes wrong in a handler.
//!
//! A connection is idle between two requests if nothing is buffered. Then the activation of its
//! fiber ends, and the connection holds neither a stack nor a buffer. A wake-up begins the next
//! activation.

mod connection;
mod errors;
mod handler_faults;
mod handshake;
mod next;
mod report;
mod respond;
mod rest;
mod resting;
mod serve;
mod service;
mod settle;
mod stream;

pub(crate) use connection::Connection;
pub use next::Next;
pub(crate) use next::{ShardHandler, Wrapper};
pub(crate) use respond::own_error_response;
pub(crate) use serve::serve_activation;
pub use service::ErrorContext;
pub(crate) use service::{Around, ErrorResponder, Service};
#[cfg(feature = "proxy")]
pub(crate) use settle::SKIP_BYTES_MAX;
