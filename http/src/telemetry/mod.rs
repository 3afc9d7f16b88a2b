//! What a server tells of its work: how long requests took, numbers for Prometheus, and a line for
//! each request.
//!
//! Values in, text out: nothing here knows a socket or a scheduler.

mod access_log;
mod escaped;
mod histogram;
mod prometheus;

pub use access_log::AccessLogFormat;
pub(crate) use access_log::Entry;
pub(crate) use escaped::Escaped;
pub(crate) use histogram::Histogram;
pub use histogram::Latencies;
pub(crate) use prometheus::Exposition;
