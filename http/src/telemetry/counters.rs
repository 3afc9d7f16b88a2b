//! What a server counts.
//!
//! Each shard counts in its own memory, which only that shard writes: a plain load and store,
//! without contention. A reader adds up the counters of all shards.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::config::Timeout;

/// A number that one thread changes and every thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the shard that owns the counter may call this and the methods below.
    #[inline]
    pub(crate) fn bump(&self) {
        self.add(1);
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.get() + count, Ordering::Relaxed);
    }

    /// Subtracts one.
    #[inline]
    pub(crate) fn lower(&self) {
        self.0.store(self.get() - 1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What a server has counted since it was built.
        ///
        /// Two properties always hold: `accepted >= closed`, and the difference is the number of
        /// open connections; and `requests = answered + unanswered + in_flight`.
        ///
        /// The numbers are read one after the other, and other shards may change theirs meanwhile.
        /// Sums are exact if the server is idle.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])+ pub $name: u64,)+
            /// Responses by the first digit of their status, 1xx first, including responses to
            /// refused requests.
            pub responses: [u64; 5],
            /// Timeouts, in the order of [`Timeout::ALL`].
            pub timeouts: [u64; Timeout::ALL.len()],
        }

        /// One shard's counters.
        #[derive(Debug, Default)]
        pub(crate) struct ShardCounters {
            $(pub(crate) $name: Counter,)+
            responses: [Counter; 5],
            timeouts: [Counter; Timeout::ALL.len()],
        }

        impl ShardCounters {
            pub(crate) fn add_to(&self, sum: &mut Counters) {
                $(sum.$name += self.$name.get();)+
                let responses = sum.responses.iter_mut().zip(&self.responses);
                let timeouts = sum.timeouts.iter_mut().zip(&self.timeouts);
                responses.chain(timeouts).for_each(|(sum, counter)| *sum += counter.get());
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections that were closed, for whatever reason.
    closed,
    /// Connections that were rejected because there were [too many](crate::Capacity). They do not
    /// count as accepted, except for those that came through a
    /// [proxy](crate::ServerBuilder::proxy_protocol).
    rejected,
    /// Connections of [proxies](crate::ServerBuilder::proxy_protocol) that did not begin with a
    /// PROXY header that the server takes.
    proxy_headers_refused,
    /// Requests whose head was read and accepted.
    requests,
    /// Requests for which the server has made the response, whether or not the client received it.
    answered,
    /// Requests without a whole response: their connection broke, or was force-closed.
    unanswered,
    /// Gauge: requests in flight, neither answered nor abandoned.
    in_flight,
    /// Gauge: requests in flight that wait for their client to send or to read a body. They do not
    /// count against [`Capacity::in_flight`](crate::Capacity::in_flight).
    awaiting_client,
    /// Idle connections that were closed to make room for new ones.
    evicted,
    /// Requests that got a 503 because [too many](crate::Capacity) were in flight.
    overloaded,
    /// Requests that got a 503, and bodies that were not read into memory, because all clients
    /// together [use too much](crate::Capacity::memory_bytes) of it.
    short_of_memory,
    /// Requests that were refused before their handler ran, or because of their body; see
    /// [`RefusalKind`](crate::RefusalKind).
    refused,
    /// Handlers that panicked; their clients got a 500, or the connection closed.
    panicked,
    /// Handlers that were cancelled because their timeout expired or their client was gone.
    cancelled,
    /// Responses that a handler could not complete or must not return; their clients got an error,
    /// or the connection closed.
    failed_responses,
    /// Connections that failed: the client vanished in mid-request, or the socket broke.
    aborted,
    /// Accepts that failed, for example because no descriptors were left.
    accept_errors,
    /// Connections that were force-closed: at the end of a drain, or during it because an upgraded
    /// connection was silent.
    force_closed,
    /// Connections that were idle when a shutdown began, and were closed.
    closed_idle,
    /// Connections that were active when a shutdown began, and finished in time.
    drained,
    /// Background fibers ([`ServerHandle::spawn`](crate::ServerHandle::spawn)) that were spawned.
    background_spawned,
    /// Background fibers that have ended, for whatever reason.
    background_ended,
    /// Background fibers that panicked.
    background_panicked,
    /// Background fibers that ran when a drain began, and ended in time.
    background_drained,
    /// Background fibers that were cancelled at the end of a drain.
    background_cancelled,
    /// Bytes received from clients.
    bytes_read,
    /// Bytes written to clients.
    bytes_written,
}

impl Counters {
    /// How often `timeout` has expired.
    ///
    /// ```
    /// use straightline::{Request, Server, Timeout};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "")?;
    /// assert_eq!(server.handle().counters().timed_out(Timeout::Head), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timed_out(&self, timeout: Timeout) -> u64 {
        self.timeouts[timeout as usize]
    }
}

impl ShardCounters {
    /// Counts a response.
    #[inline]
    pub(crate) fn respond(&self, status: StatusCode) {
        // Only the type allows a status of 600 or more.
        let class = usize::from(status.as_u16() / 100).clamp(1, 5);
        self.responses[class - 1].bump();
    }

    pub(crate) fn timeouts(&self, timeout: Timeout) -> &Counter {
        &self.timeouts[timeout as usize]
    }
}
