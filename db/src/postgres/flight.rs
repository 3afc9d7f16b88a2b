//! A call that is under way.

use std::cell::Cell;

/// A call whose answer has not come. If it is dropped before it has [landed](Self::land), the
/// answer is not wanted any more, and the count stays above zero for good.
pub(super) struct Flight<'c> {
    in_flight: &'c Cell<usize>,
}

impl<'c> Flight<'c> {
    pub(super) fn begin(in_flight: &'c Cell<usize>) -> Self {
        in_flight.set(in_flight.get() + 1);
        Self { in_flight }
    }

    /// The whole answer has come.
    pub(super) fn land(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }
}
