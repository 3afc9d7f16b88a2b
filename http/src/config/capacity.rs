//! How many clients a server serves at a time, and what happens to further clients.

use std::time::Duration;

use super::descriptors;
use super::memory_limit;
use crate::with_fields::with_fields;

/// How many connections and requests a server serves at a time.
///
/// The numbers hold for all shards together. Each shard uses the counts of the other shards as it
/// last saw them, so a number may be exceeded by one for each shard.
///
/// ```
/// use straightline::{Capacity, Request, Server};
///
/// let capacity = Capacity::default().with_in_flight(200);
/// Server::builder().bind("127.0.0.1:0").capacity(capacity).build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capacity {
    /// Open connections. When the limit is reached, a shard makes room for a new connection: it
    /// closes the connection that has been idle longest between two requests, if one has been idle
    /// for a moment. Default: three quarters of the descriptors that the process may open once the
    /// server has [raised](crate::ServerBuilder::raise_descriptor_limit) that limit, so that
    /// handlers have some for files and for connections of their own.
    pub connections: usize,
    /// Open connections of one address; for IPv6, of one /64 network, which is what one customer
    /// has. Default: no limit, because a proxy in front of the server is one address.
    pub connections_per_peer: usize,
    /// Requests that have begun, are not answered, and do not wait for their client (to send the
    /// body, or to read the response). What a connection does after an
    /// [upgrade](crate::Response::upgrade) does not count as a request. Further requests get a 503
    /// with `Retry-After`. Default: 10,000, which with the default stacks is some 100 MiB of
    /// touched pages.
    pub in_flight: usize,
    /// What happens to new clients when `connections` is reached and no connection is idle.
    pub overload_policy: OverloadPolicy,
    /// Bytes of memory that the server uses for all its clients together: the buffers of active
    /// connections, request bodies that a handler reads into memory, and responses in memory that
    /// wait for their client to read. When the limit is reached, a request gets a 503 with
    /// `Retry-After` and its handler is not called, until a quarter of the memory is free again.
    /// Reading a body into memory then fails with
    /// [`BodyError::NoMemory`](crate::BodyError::NoMemory), which is a 503 too. Memory that a
    /// handler allocates by itself does not count. Default: a quarter of the memory that the
    /// process may use according to its control group, its limits (`RLIMIT_AS`, `RLIMIT_DATA`) and
    /// the machine.
    pub memory_bytes: u64,
    /// The value of `Retry-After`, in whole seconds. Default: 1 second.
    pub retry_after: Duration,
}

/// What happens to clients for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverloadPolicy {
    /// They get a 503 with `Retry-After` and are disconnected, so they know at once. The default.
    Reject,
    /// They wait in the kernel's accept queue until another connection closes, and get no answer
    /// meanwhile. The server also stops accepting while [`in_flight`](Capacity::in_flight) requests
    /// are being served. For clients that cannot handle a 503. Clients beyond
    /// [`connections_per_peer`](Capacity::connections_per_peer) are rejected in any case.
    Queue,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapacityLimit {
    /// [`Capacity::connections`].
    Connections,
    /// [`Capacity::connections_per_peer`].
    Peer,
}

with_fields! { Capacity {
    with_connections: connections: usize,
    with_connections_per_peer: connections_per_peer: usize,
    with_in_flight: in_flight: usize,
    with_overload_policy: overload_policy: OverloadPolicy,
    with_memory_bytes: memory_bytes: u64,
    with_retry_after: retry_after: Duration,
} }

impl Default for Capacity {
    fn default() -> Self {
        Self {
            connections: descriptors::connections_for(descriptors::attainable_limit()),
            connections_per_peer: usize::MAX,
            in_flight: 10_000,
            memory_bytes: memory_limit::default_bytes(),
            overload_policy: OverloadPolicy::Reject,
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Capacity {
    /// At least 1: a client that gets 0 retries at once.
    pub(crate) fn retry_seconds(&self) -> u64 {
        self.retry_after.as_secs().max(1)
    }
}
