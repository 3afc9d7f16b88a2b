//! Whether a fiber may run again.

use std::cell::Cell;

/// A fiber lives, and is over after that: it has ended, or it was abandoned with its frames. Both
/// are final.
#[derive(Default)]
pub(crate) struct Life(Cell<Stage>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Alive,
    Ended,
    Abandoned,
}

impl Life {
    /// The fiber has ended, unless it was abandoned.
    pub(crate) fn end(&self) {
        if self.0.get() == Stage::Alive {
            self.0.set(Stage::Ended);
        }
    }

    /// The fiber never ends, and never runs again.
    pub(crate) fn abandon(&self) {
        self.0.set(Stage::Abandoned);
    }

    /// Ended or abandoned: the fiber is in no table, or leaves it now, and never runs again.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.0.get() != Stage::Alive
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.get() == Stage::Abandoned
    }
}
