//! The requests of each route of a shard.
//!
//! Routes are constants of the program, so their number is bounded. The counters of a route are at
//! the place of its number, in blocks that grow, so that a reader on another thread never sees them
//! move.

use std::array;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;

use super::counters::Counter;
use super::route_label::{BLOCKS, RouteLabel, RoutePlace, names};

/// A shard's numbers. Only its own thread writes them.
#[derive(Debug)]
pub(crate) struct RouteCounters {
    /// Each block has twice as many counters as the one before it.
    blocks: [OnceLock<Box<[OfRoute]>>; BLOCKS],
    /// The places of the names that came without one.
    places: Mutex<BTreeMap<&'static str, RoutePlace>>,
}

/// The counters of a route.
#[derive(Debug, Default)]
struct OfRoute {
    /// By the class of the status; the first are those without a response. There are more than the
    /// classes, so that an index is a few bits.
    requests: [Counter; CLASSES],
    nanoseconds: Counter,
}

/// The finished requests of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteNumbers {
    /// By the class of the response's status: 1xx to 5xx.
    pub responses: [u64; 5],
    /// Requests that got no response.
    pub unanswered: u64,
    /// The sum of their times: from the head's arrival until the response was complete and was
    /// written to the system, together with the other responses of a pipeline.
    pub duration: Duration,
}

impl Default for RouteCounters {
    fn default() -> Self {
        Self { blocks: array::from_fn(|_| OnceLock::new()), places: Mutex::default() }
    }
}

impl RouteCounters {
    /// Counts a request, with the status of its response, 0 if there is none. Returns the place
    /// of the route, for [`add_time`](Self::add_time).
    pub(crate) fn count(&self, route: RouteLabel, status: u16) -> RoutePlace {
        let place = route.known_place().unwrap_or_else(|| self.place_of(route));
        let block = place.block as usize;
        let counters = self.blocks[block].get_or_init(|| {
            (0..RoutePlace::block_len(block)).map(|_| OfRoute::default()).collect()
        });
        counters[place.at as usize].requests[class(status)].bump();
        place
    }

    /// As [`count`](Self::count), if this shard has counted a request of the route's block before;
    /// otherwise `None`, and nothing is counted.
    #[inline]
    pub(crate) fn try_count(&self, route: RouteLabel, status: u16) -> Option<RoutePlace> {
        let place = route.known_place()?;
        self.of(place)?.requests[class(status)].bump();
        Some(place)
    }

    /// Adds the time that each of `count` requests has taken, which were counted.
    #[inline]
    pub(crate) fn add_time(&self, place: RoutePlace, nanoseconds: u64, count: u32) {
        if let Some(counters) = self.of(place) {
            counters.nanoseconds.add(nanoseconds.wrapping_mul(u64::from(count)));
        }
    }

    /// Adds these numbers to those of other shards.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<&'static str, RouteNumbers>) {
        let names = names();
        for (block, counters) in self.blocks.iter().enumerate() {
            let Some(counters) = counters.get() else { continue };
            let first = RoutePlace::first_of_block(block);
            for (name, counters) in names.iter().skip(first).zip(counters) {
                counters.add_to(name, sums);
            }
        }
    }

    /// The counters of a route that was counted.
    #[inline]
    fn of(&self, place: RoutePlace) -> Option<&OfRoute> {
        self.blocks.get(place.block as usize)?.get()?.get(place.at as usize)
    }

    /// The place of a name, which this shard asks the process for once.
    #[cold]
    #[inline(never)]
    fn place_of(&self, route: RouteLabel) -> RoutePlace {
        *self.places.lock().entry(route.name).or_insert_with(|| route.place())
    }
}

impl OfRoute {
    fn add_to(&self, name: &'static str, sums: &mut BTreeMap<&'static str, RouteNumbers>) {
        let numbers = RouteNumbers {
            responses: array::from_fn(|class| self.requests[class + 1].get()),
            unanswered: self.requests[0].get(),
            duration: Duration::from_nanos(self.nanoseconds.get()),
        };
        // The table of names is that of the process: most are not of this server.
        if numbers.unanswered == 0 && numbers.responses == [0; 5] {
            return;
        }
        let sum = sums.entry(name).or_default();
        for (sum, count) in sum.responses.iter_mut().zip(numbers.responses) {
            *sum += count;
        }
        sum.unanswered += numbers.unanswered;
        sum.duration += numbers.duration;
    }
}

/// The index of a status's class; statuses beyond 599 count as the last.
#[inline]
fn class(status: u16) -> usize {
    usize::from(status / 100).min(5) % CLASSES
}

/// A power of two, above the five classes and 0.
const CLASSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let (shard, other) = (RouteCounters::default(), RouteCounters::default());
        for (status, count) in [(200, 3), (404, 1), (0, 2)] {
            for _ in 0..count {
                let place = shard.count(RouteLabel::of_name("/counted"), status);
                shard.add_time(place, 5_000_000, 1);
            }
        }
        other.count(RouteLabel::of_name("/counted"), 201);
        let mut sums = BTreeMap::new();
        shard.add_to(&mut sums);
        other.add_to(&mut sums);
        assert_eq!(sums.len(), 1);
        let numbers = sums["/counted"];
        assert_eq!(numbers.responses, [0, 4, 0, 1, 0]);
        assert_eq!((numbers.unanswered, numbers.duration), (2, Duration::from_millis(30)));
    }
}
