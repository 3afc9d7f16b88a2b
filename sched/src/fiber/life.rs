//! Whether a fiber may run again.

use std::cell::Cell;

/// A fiber lives, and is over after that: it has ended, or it was given up with its frames. Both
/// are final.
#[derive(Default)]
pub(crate) struct Life(Cell<Stage>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Alive,
    Ended,
    GivenUp,
}

impl Life {
    /// The fiber has ended, unless it was given up.
    pub(crate) fn end(&self) {
        if self.0.get() == Stage::Alive {
            self.0.set(Stage::Ended);
        }
    }

    /// The fiber never ends, and never runs again.
    pub(crate) fn give_up(&self) {
        self.0.set(Stage::GivenUp);
    }

    /// Ended or given up: the fiber is in no table, or leaves it now, and never runs again.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.0.get() != Stage::Alive
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.0.get() == Stage::GivenUp
    }
}
