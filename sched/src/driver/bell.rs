//! A bell that is rung once however many ring it, until it is answered.
//!
//! Making the driver hear something costs a system call, which this saves while an earlier one has
//! not been answered. Checked under every interleaving that the memory model allows
//! (`tests/loom_mailbox.rs`).

use crate::primitives::{AtomicBool, Ordering};

#[derive(Debug)]
pub(crate) struct Bell {
    /// Rung, and not answered yet.
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rung: AtomicBool::new(false) }
    }

    /// Returns whether the caller is the first, who has to make it heard.
    pub(crate) fn ring(&self) -> bool {
        !self.rung.swap(true, Ordering::AcqRel)
    }

    /// From now on a ring has to be made heard again. What was done before the rings that this
    /// answers is seen after it: hence a swap, which reads from the last of them. A store would
    /// promise nothing about those who found the bell rung and stayed silent.
    pub(crate) fn answer(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}
