//! Which servers are measured.

use std::fmt;

use clap::ValueEnum;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project: `sse::Feed`, whose streams hold no stack while they wait
    Straightline,
    /// This project: `sse::stream` with a broadcast channel, where each stream keeps its stack
    StraightlineStacks,
    /// axum on tokio's single-threaded runtime: `Sse` with a broadcast channel
    Axum,
    /// Go's `net/http`: a goroutine and a channel for each stream
    Go,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::StraightlineStacks => "straightline-stacks",
            Self::Axum => "axum",
            Self::Go => "go",
        })
    }
}
