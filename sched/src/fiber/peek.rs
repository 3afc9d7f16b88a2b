//! A look at the value of a `Cell` that is no copy.
//!
//! A `RefCell` would take one more word in each record. A fiber's record and a lease's are kept for
//! each connection, so that word counts.

use std::cell::Cell;

/// Calls `look` with the value of `cell`. The cell is empty meanwhile, so `look` must not use it,
/// and must not panic.
#[inline]
pub(crate) fn peek<T, R>(cell: &Cell<Option<T>>, look: impl FnOnce(Option<&T>) -> R) -> R {
    let value = cell.take();
    let result = look(value.as_ref());
    cell.set(value);
    result
}

/// A copy of the value of `cell`. Its `clone` must not use the cell, and must not panic.
#[inline]
pub(crate) fn copy_of<T: Clone>(cell: &Cell<Option<T>>) -> Option<T> {
    let value = cell.take();
    let copy = value.clone();
    cell.set(value);
    copy
}
