//! What a parked fiber waits for, as the listing of fibers tells it.

use std::ptr;

use super::FiberKey;

/// Why a fiber gave the thread back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing: it runs, or is about to.
    Nothing,
    /// The others' turn (`yield_now`).
    Turn,
    /// An `unpark`.
    Unpark,
    /// A point in time.
    Time,
    /// Something to read on the descriptor of that number.
    Readable(i32),
    /// Room to write on the descriptor of that number.
    Writable(i32),
    /// The end of another fiber of the shard.
    End(FiberKey),
    /// The end of its scope's fibers.
    Children,
    /// Something that another fiber or thread does; the text names the call, `Receiver::recv`.
    Call(CallName),
    /// A lock that somebody holds.
    Lock(LockWait),
}

/// A call's name. Behind one more reference, so that it is one word.
pub(crate) type CallName = &'static &'static str;

/// Where a fiber that waits for a lock tells who holds it: in a frame of its own stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockWait(*const Lock<'static>);

/// A lock that a fiber waits for.
pub(crate) struct Lock<'l> {
    pub(crate) call: CallName,
    /// Asks for the holder: the number of a shard, and a fiber there.
    pub(crate) holder: &'l dyn Fn() -> Option<(u64, FiberKey)>,
}

impl std::fmt::Debug for Lock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("call", &self.call).finish_non_exhaustive()
    }
}

impl LockWait {
    /// # Safety
    ///
    /// It must be set as the [`Wait`] of the calling fiber only, and only while that is parked
    /// below the frame that `lock` is in.
    pub(crate) unsafe fn new(lock: &Lock<'_>) -> Self {
        Self(ptr::from_ref(lock).cast())
    }

    pub(crate) fn call(self) -> CallName {
        self.lock().call
    }

    pub(crate) fn holder(self) -> Option<(u64, FiberKey)> {
        (self.lock().holder)()
    }

    fn lock<'l>(self) -> &'l Lock<'l> {
        // SAFETY: who made it keeps the promise of `new`: whoever reads a fiber's `Wait` runs on
        // the same thread while that fiber is parked, so the frame with the lock is there. A fiber
        // that is over waits for nothing.
        unsafe { &*self.0 }
    }
}
