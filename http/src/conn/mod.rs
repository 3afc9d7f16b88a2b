//! One connection, as a straight line: read a head, run the handler, write the response, again.
//!
//! `serve` is that line. `transport` is what it runs over, `wire` the two buffers between them,
//! `linger` the careful end. A connection between two requests with nothing buffered holds neither
//! a stack nor a buffer: its line ends there, and readiness starts it again.

mod linger;
mod serve;
mod transport;
mod wire;

pub(crate) use serve::{Connection, Service};
pub(crate) use transport::{Link, Transport, read};
pub(crate) use wire::{BufferPool, Buffers};
