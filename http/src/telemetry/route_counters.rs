//! The requests of each route of a shard.
//!
//! Routes are constants of the program, so their number is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use super::finished_request::FinishedRequest;

/// A shard's numbers. Only its own thread writes them.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters(Mutex<BTreeMap<&'static str, RouteNumbers>>);

/// The finished requests of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteNumbers {
    /// By the class of the response's status: 1xx to 5xx.
    pub responses: [u64; 5],
    /// Requests that got no response.
    pub unanswered: u64,
    /// The sum of their [durations](FinishedRequest::duration).
    pub duration: Duration,
}

impl RouteCounters {
    /// Counts a request, if it has a route.
    pub(crate) fn record(&self, request: &FinishedRequest<'_>) {
        let Some(route) = request.route else { return };
        let mut routes = self.0.lock();
        let numbers = routes.entry(route).or_default();
        match request.status.map(class) {
            Some(class) => numbers.responses[class] += 1,
            None => numbers.unanswered += 1,
        }
        numbers.duration += request.duration;
    }

    /// Adds these numbers to those of other shards.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<&'static str, RouteNumbers>) {
        for (route, numbers) in &*self.0.lock() {
            let sum = sums.entry(route).or_default();
            for (sum, count) in sum.responses.iter_mut().zip(numbers.responses) {
                *sum += count;
            }
            sum.unanswered += numbers.unanswered;
            sum.duration += numbers.duration;
        }
    }
}

/// The index of a status's class; statuses beyond 599 count as the last.
fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, 5) - 1
}
