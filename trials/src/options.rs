//! The options of the command line that hold for all scenarios.

use std::path::PathBuf;
use std::time::Duration;

/// How the scenarios run.
pub(crate) struct Options {
    /// The binary of the server.
    pub(crate) server: PathBuf,
    /// The binary of the server with TLS.
    #[cfg(feature = "tls")]
    pub(crate) https: PathBuf,
    pub(crate) quick: bool,
    pub(crate) connections: Option<usize>,
    pub(crate) seconds: Option<Duration>,
}

impl Options {
    /// `quick` with `--quick`, and otherwise `full`.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many clients, unless the command line has `--connections`.
    pub(crate) fn connections(&self, quick: usize, full: usize) -> usize {
        self.connections.unwrap_or_else(|| self.pick(quick, full))
    }

    /// How long the load lasts, unless the command line has `--seconds`.
    pub(crate) fn seconds(&self, quick: f64, full: f64) -> Duration {
        self.seconds.unwrap_or_else(|| Duration::from_secs_f64(self.pick(quick, full)))
    }
}
