//! What a server counts.
//!
//! Each shard counts in memory of its own, which only it writes: a plain load and store, no
//! contention. Whoever asks adds the shards up.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread raises and every thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the shard that owns the counter may call it.
    pub(crate) fn bump(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What a server has seen since it was built.
        ///
        /// Always `accepted >= closed`; the difference is the number of open connections.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])+ pub $name: u64,)+
        }

        /// One shard's counters.
        #[derive(Debug, Default)]
        pub(crate) struct ShardCounters {
            $(pub(crate) $name: Counter,)+
        }

        impl ShardCounters {
            pub(crate) fn add_to(&self, sum: &mut Counters) {
                $(sum.$name += self.$name.0.load(Ordering::Relaxed);)+
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections that are over, for whatever reason.
    closed,
    /// Requests whose head was read and that went to the handler.
    requests,
    /// Requests refused, before a handler saw them or for their body; see
    /// [`RefusalKind`](crate::RefusalKind).
    refused,
    /// Handlers that panicked; their clients saw a 500, or the connection end.
    panicked,
    /// Responses that a handler could not complete, or may not give; their clients saw an error or
    /// the connection end.
    failed_responses,
    /// Connections that failed: the client vanished in mid-request, or the socket broke.
    aborted,
    /// Accepts that failed, for want of descriptors for example.
    accept_errors,
    /// Connections cut at the end of a drain.
    cut,
}
