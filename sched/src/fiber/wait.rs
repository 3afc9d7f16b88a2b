//! What a parked fiber waits for, as the list of fibers shows it.

use std::ptr;

use super::key::FiberKey;

/// Why a fiber gave the thread back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The fiber waits for nothing: it runs, or is about to.
    Nothing,
    /// A turn of the other fibers (`yield_now`).
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
    /// An action of another fiber or thread; the text names the call, `block_on`.
    Call(CallName),
    /// Its turn in a wait queue of `sync`, or one of the things of a `select`.
    Queue(QueueWait),
}

/// A call's name. Behind another reference, so that it is one word.
pub(crate) type CallName = &'static &'static str;

/// Points to the [`Standing`] of a fiber in a wait queue, which lies in a frame of its own stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueWait(*const Standing<'static>);

/// The place of a waiting fiber: its ticket of a wait queue, or its registrations in a `select`.
pub(crate) struct Standing<'s> {
    pub(crate) call: CallName,
    /// For a lock, returns its holder: the number of a shard, and a fiber there.
    pub(crate) holder: Option<&'s dyn Fn() -> Option<(u64, FiberKey)>>,
    /// Leaves the queue, for a fiber that will never run again.
    pub(crate) leave: &'s dyn Fn(),
}

impl QueueWait {
    /// # Safety
    ///
    /// It must be set as the [`Wait`] of the calling fiber only, and only while that fiber is
    /// parked below the frame of `standing`, or is abandoned there.
    pub(crate) unsafe fn new(standing: &Standing<'_>) -> Self {
        Self(ptr::from_ref(standing).cast())
    }

    pub(crate) fn call(self) -> CallName {
        self.standing().call
    }

    pub(crate) fn is_for_a_lock(self) -> bool {
        self.standing().holder.is_some()
    }

    /// The holder of the lock, if it is a lock, and if a fiber holds it.
    pub(crate) fn holder(self) -> Option<(u64, FiberKey)> {
        self.standing().holder?()
    }

    pub(crate) fn leave(self) {
        (self.standing().leave)();
    }

    fn standing<'s>(self) -> &'s Standing<'s> {
        // SAFETY: the maker keeps the promise of `new`: code that reads a fiber's `Wait` runs on
        // the same thread while that fiber is parked, or has just been abandoned, so the frame
        // exists. A fiber that is over waits for nothing.
        unsafe { &*self.0 }
    }
}
