//! The HTTP client, from outside: calls, connections, faults of servers, retries.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod deadlines;
mod faulty_servers;
#[cfg(feature = "_tls")]
mod https;
mod in_handlers;
mod kept_connections;
mod on_the_way;
mod retries;
mod upstream;
