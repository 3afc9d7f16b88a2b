//! The phases of a server's shutdown.

/// The phase of a server's shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// The server serves.
    Serving,
    /// The server still serves, and each answer closes its connection: see
    /// [`ServerBuilder::ready_delay`](crate::ServerBuilder::ready_delay).
    Unready,
    /// No further client is accepted; requests in flight are finished.
    Draining,
    /// Requests in flight are force-closed.
    ForceClosing,
}
