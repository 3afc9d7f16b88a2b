//! What a parked fiber waits for, as the listing of fibers tells it.

use std::ptr;

use super::key::FiberKey;

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
    /// Something that another fiber or thread does; the text names the call, `block_on`.
    Call(CallName),
    /// Its turn in a line of `sync`, or something of a `select`.
    Line(LineWait),
}

/// A call's name. Behind one more reference, so that it is one word.
pub(crate) type CallName = &'static &'static str;

/// Where a fiber that stands in a line tells of it: in a frame of its own stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineWait(*const Standing<'static>);

/// Where a fiber waits: its place in a line, or its registrations with what a `select` waits for.
pub(crate) struct Standing<'s> {
    pub(crate) call: CallName,
    /// For a lock, asks who took it: the number of a shard, and a fiber there.
    pub(crate) holder: Option<&'s dyn Fn() -> Option<(u64, FiberKey)>>,
    /// Takes the place back, for a fiber that will never run again.
    pub(crate) leave: &'s dyn Fn(),
}

impl LineWait {
    /// # Safety
    ///
    /// It must be set as the [`Wait`] of the calling fiber only, and only while that is parked
    /// below the frame that `standing` is in, or is given up there.
    pub(crate) unsafe fn new(standing: &Standing<'_>) -> Self {
        Self(ptr::from_ref(standing).cast())
    }

    pub(crate) fn call(self) -> CallName {
        self.standing().call
    }

    pub(crate) fn is_for_a_lock(self) -> bool {
        self.standing().holder.is_some()
    }

    /// Who took the lock, if it is one, and if that was a fiber.
    pub(crate) fn holder(self) -> Option<(u64, FiberKey)> {
        self.standing().holder?()
    }

    pub(crate) fn leave(self) {
        (self.standing().leave)();
    }

    fn standing<'s>(self) -> &'s Standing<'s> {
        // SAFETY: who made it keeps the promise of `new`: whoever reads a fiber's `Wait` runs on
        // the same thread while that fiber is parked, or has just been given up, so the frame is
        // there. A fiber that is over waits for nothing.
        unsafe { &*self.0 }
    }
}
