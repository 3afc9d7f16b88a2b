//! What is known of fibers that wait for each other.

use std::collections::BTreeMap;

use crate::fiber::FiberKey;

/// The fibers that closed a circle and may wait there still, and what was done about it.
pub(super) type Circles = BTreeMap<FiberKey, Circle>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circle {
    Closed,
    /// It was there when the shard last kept house.
    Seen,
    Told,
}
