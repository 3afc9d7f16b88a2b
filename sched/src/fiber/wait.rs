//! What a parked fiber waits for, as the listing of fibers tells it.

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
    /// Something that another fiber or thread does; the text names the call, `Mutex::lock`.
    Call(CallName),
}

/// A call's name. Behind one more reference, so that it is one word.
pub(crate) type CallName = &'static &'static str;
