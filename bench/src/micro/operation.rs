//! The operations that are measured.

use std::fmt;

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    SpawnJoin,
    Yield,
    PingPong,
    MutexHandOver,
    TimeoutSetAndCancel,
    Cancel,
    BlockOnReady,
    BlockOnWoken,
}

impl Operation {
    /// How many operations make a measurement: some ten milliseconds for the slowest peer.
    pub(super) fn count(self) -> u64 {
        match self {
            Self::SpawnJoin | Self::Cancel => 500,
            Self::Yield | Self::PingPong | Self::MutexHandOver | Self::TimeoutSetAndCancel => 2_000,
            Self::BlockOnReady | Self::BlockOnWoken => 5_000,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpawnJoin => "spawn and join",
            Self::Yield => "yield, two take turns",
            Self::PingPong => "round trip over two channels",
            Self::MutexHandOver => "contended lock, handed over",
            Self::TimeoutSetAndCancel => "receive under a timeout that does not fire",
            Self::Cancel => "spawn, wait, cancel, join",
            Self::BlockOnReady => "wait for a future that is ready",
            Self::BlockOnWoken => "wait for a future that wakes itself once",
        })
    }
}
