//! What a server tells of its work: events and those who observe them, counters, how long requests
//! took, numbers for Prometheus, and a line for each request.
//!
//! Values in, text out: nothing here knows a connection or a shard.

mod access_log;
mod access_log_writer;
mod counters;
mod escaped;
mod events;
mod histogram;
mod log;
mod observers;
mod panics;
mod prometheus;

pub use access_log::AccessLogFormat;
pub(crate) use access_log::Entry;
pub(crate) use access_log_writer::AccessLog;
pub use counters::Counters;
pub(crate) use counters::ShardCounters;
pub use events::{Event, Hooks};
pub(crate) use histogram::Histogram;
pub use histogram::Latencies;
pub use log::LogHooks;
pub(crate) use observers::Observers;
pub(crate) use panics::{record_places, take_place};
pub(crate) use prometheus::Exposition;
