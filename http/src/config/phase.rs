//! How far a server's end has come.

/// How far a server's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It serves, and says that it soon will not, in each answer too: see
    /// [`Builder::ready_delay`](crate::Builder).
    Unready,
    /// Nobody new; what is in flight is finished.
    Draining,
    /// What is in flight is cut.
    Cutting,
}
