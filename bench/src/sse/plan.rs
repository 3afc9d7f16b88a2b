//! The plan of a measurement.

use crate::cpu::Pinning;

/// What is measured, and how.
pub(crate) struct Plan {
    /// How many clients a server has in each step, in ascending order.
    pub(crate) clients: Vec<usize>,
    /// How many events are sent in each step.
    pub(crate) events: u32,
    pub(crate) pinning: Pinning,
}

/// A quotient, for a figure.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
pub(super) fn ratio(count: u64, of: usize) -> f64 {
    count as f64 / of as f64
}
