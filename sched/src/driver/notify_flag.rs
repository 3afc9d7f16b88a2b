//! The notifier's flag: of many notifications only the first costs a system call, until it is
//! acknowledged.
//!
//! To end the driver's wait costs a system call. This flag saves it while an earlier notification
//! was not acknowledged. loom checks it under every interleaving that the memory model allows
//! (`tests/loom_mailbox.rs`).

use crate::primitives::{AtomicBool, Ordering};

#[derive(Debug)]
pub(crate) struct NotifyFlag {
    /// Notified, and not acknowledged yet.
    notified: AtomicBool,
}

impl NotifyFlag {
    pub(crate) fn new() -> Self {
        Self { notified: AtomicBool::new(false) }
    }

    /// Returns whether the caller is the first, which must make the system call.
    pub(crate) fn notify(&self) -> bool {
        !self.notified.swap(true, Ordering::AcqRel)
    }

    /// From now on a notification needs a system call again. What happened before the notifications
    /// that this acknowledges is visible after it: hence a swap, which reads from the last of them.
    /// A plain store would promise nothing about the callers that found the flag set and made no
    /// call.
    pub(crate) fn acknowledge(&self) {
        self.notified.swap(false, Ordering::AcqRel);
    }
}
