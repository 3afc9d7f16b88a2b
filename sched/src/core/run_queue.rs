//! BUDGET

/// How many operations may succeed in a row before the fiber yields. Arbitrary: at about 1 µs an
/// operation it keeps the others waiting for a tenth of a millisecond.
pub(crate) const BUDGET: u32 = 128;
