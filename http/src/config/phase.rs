//! The phases of a server's shutdown.

/// How far a server's shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// The server serves.
    Serving,
    /// The server serves, and says in each answer that it soon will not: see
    /// [`Builder::ready_delay`](crate::Builder::ready_delay).
    Unready,
    /// No further client is accepted; requests in flight are finished.
    Draining,
    /// Requests in flight are cut.
    Cutting,
}
