//! The sample servers, as processes: what all of them promise, what may happen to their process,
//! and what the playground does.

mod contract;
mod operating;
mod playground;
mod servers;

/// The samples that are HTTP servers.
const SERVERS: [&str; 4] = ["hello", "bench_server", "fanout", "playground"];
