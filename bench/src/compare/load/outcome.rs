//! What the clients of a run count.

use std::io;
use std::time::Duration;

use straightline_harness::Histogram;

/// The result of one run.
#[derive(Default)]
pub(in crate::compare) struct Outcome {
    /// Requests with the expected response.
    pub(in crate::compare) requests: u64,
    pub(in crate::compare) errors: u64,
    /// The text of the first error.
    pub(in crate::compare) first_error: Option<String>,
    /// From the start until the last client had finished.
    pub(in crate::compare) elapsed: Duration,
    /// The CPU time of the server meanwhile.
    pub(in crate::compare) cpu: Duration,
    /// In a closed loop from a request's write to its response; in an open one from the time at
    /// which the request was due.
    pub(in crate::compare) latencies: Histogram,
    /// In an open loop, how much later than due a request was written.
    pub(in crate::compare) lateness: Histogram,
}

impl Outcome {
    pub(super) fn count(&mut self, requests: u64, latency: Duration) {
        self.requests += requests;
        self.latencies.record(latency, requests);
    }

    pub(super) fn count_error(&mut self, error: &io::Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }
}
