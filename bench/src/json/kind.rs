//! Which servers are measured.

use std::fmt;

use clap::ValueEnum;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project: `Router`, `request.json()` and `Json`
    Straightline,
    /// axum on tokio's single-threaded runtime: `Json` in and out
    Axum,
    /// actix-web with one worker: `web::Json` in and out
    Actix,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::Axum => "axum",
            Self::Actix => "actix",
        })
    }
}
