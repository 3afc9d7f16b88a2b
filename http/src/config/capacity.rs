//! How many clients a server takes at a time, and what becomes of the others.

use std::time::Duration;

use super::descriptors;
use super::memory_limit;

/// How many connections and requests a server takes at a time.
///
/// All shards together have these numbers. Each shard looks at what it last saw of the others, so a
/// number may be exceeded by one for each shard.
///
/// ```
/// use straightline::{Capacity, Request, Server};
///
/// let capacity = Capacity { in_flight: 200, ..Capacity::default() };
/// Server::builder().bind("127.0.0.1:0").capacity(capacity).build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Open connections. If there are as many, a shard makes room for a new one: it closes its
    /// connection that has rested longest between two requests, if one has rested for a moment.
    /// Default: three quarters of the descriptors that the process may open once the server has
    /// [raised](crate::Builder::raise_descriptor_limit) that number, so that handlers have some for
    /// files and for connections of their own.
    pub connections: usize,
    /// Open connections of one address; of IPv6, of one /64 network, which is what one customer
    /// has. Default: no limit, as a proxy in front is one address.
    pub connections_per_peer: usize,
    /// Requests that have begun, are not answered, and do not wait for their client: for its body,
    /// or for it to read the response. What a connection does after an
    /// [upgrade](crate::Response::upgrade) is no request. Further requests get a 503 with
    /// `Retry-After`. Default: 10,000, which with the default stacks is some 100 MiB of touched
    /// pages.
    pub in_flight: usize,
    /// What happens to new clients if there are as many connections as may be, and none of them
    /// rests.
    pub when_full: WhenFull,
    /// Bytes of memory that the server uses for all its clients together: the buffers of
    /// connections at work, request bodies that a handler reads into memory, responses in memory
    /// that wait for their client. If there is no room, a request gets a 503 with `Retry-After`
    /// instead of its handler, until a quarter is free again. A body that is being read into memory
    /// becomes [`BodyError::NoMemory`](crate::BodyError::NoMemory), which is a 503 too. What a
    /// handler allocates by itself does not count. Default: a quarter of the memory that the
    /// process may use, by its control group, its limits (`RLIMIT_AS`, `RLIMIT_DATA`) and the
    /// machine.
    pub memory_bytes: u64,
    /// The value of `Retry-After`, in whole seconds. Default: 1 second.
    pub retry_after: Duration,
}

/// What happens to clients for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// They get a 503 with `Retry-After`, and are disconnected: they know at once. The default.
    Refuse,
    /// They wait in the kernel's accept queue until another connection closes, and are told
    /// nothing. The server also stops accepting while [`in_flight`](Capacity::in_flight) requests
    /// are being served. For clients that cannot deal with a 503. Clients beyond
    /// [`connections_per_peer`](Capacity::connections_per_peer) are refused all the same.
    Wait,
}

/// What there were too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// [`Capacity::connections`].
    Connections,
    /// [`Capacity::connections_per_peer`].
    Peer,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            connections: descriptors::connections_for(descriptors::most()),
            connections_per_peer: usize::MAX,
            in_flight: 10_000,
            memory_bytes: memory_limit::default_bytes(),
            when_full: WhenFull::Refuse,
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Capacity {
    /// The whole response for a client that is turned away. (A 5xx needs no date: RFC 9110 section
    /// 6.6.1.)
    pub(crate) fn refusal(&self) -> Vec<u8> {
        let (body, seconds) = ("Service Unavailable\n", self.retry_seconds());
        format!(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {seconds}\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// At least 1: a client that is told 0 comes back at once.
    pub(crate) fn retry_seconds(&self) -> u64 {
        self.retry_after.as_secs().max(1)
    }
}
