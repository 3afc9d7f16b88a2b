//! Which servers are measured.

use std::fmt;

use clap::ValueEnum;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project: `websocket::upgrade`
    Straightline,
    /// axum on tokio's single-threaded runtime: `WebSocketUpgrade`
    Axum,
    /// The same with a read buffer of 4 KiB, which is 128 KiB by default
    AxumSmall,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::Axum => "axum",
            Self::AxumSmall => "axum-small",
        })
    }
}
