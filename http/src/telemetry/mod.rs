//! What a server reports: events and their observers, counters, latencies, numbers for Prometheus,
//! and a log line for each request.
//!
//! Values in, text out: no file here knows a connection or a shard.

mod abort;
mod access_log;
mod access_log_writer;
mod counters;
mod escaped;
mod events;
mod fault_printer;
mod finished_request;
mod histogram;
mod log;
mod log_level;
mod observers;
mod panics;
mod part_numbers;
mod plain;
mod prometheus;
mod route_counters;
mod route_label;
#[cfg(feature = "_tls")]
mod tls_metrics;

pub(crate) use abort::abort;
pub use access_log::AccessLogFormat;
pub(crate) use access_log::escape_json;
pub(crate) use access_log_writer::AccessLog;
pub use counters::Counters;
pub(crate) use counters::ShardCounters;
pub use events::{Event, Observer};
pub use finished_request::{FinishedRequest, Outcome};
pub(crate) use histogram::Histogram;
pub use histogram::Latencies;
pub use log::LogObserver;
pub(crate) use log_level::is_compiled;
pub use log_level::{LogLevel, LogLevelFilter};
pub(crate) use observers::Observers;
pub(crate) use panics::{contain, message_of, record_places, take_place};
pub(crate) use part_numbers::{PartNumbers, PartRegistry};
pub(crate) use prometheus::Exposition;
pub(crate) use route_counters::RouteCounters;
pub use route_counters::RouteNumbers;
pub(crate) use route_label::{RouteLabel, RoutePlace};
#[cfg(feature = "_tls")]
pub use tls_metrics::TlsMetrics;
#[cfg(feature = "_tls")]
pub(crate) use tls_metrics::TlsNumbers;
