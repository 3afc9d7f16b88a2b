//! How a server is to be.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::compare::mode::Mode;

/// How a server is to be.
pub(in crate::compare) struct Setup<'a> {
    pub(in crate::compare) mode: Mode,
    pub(in crate::compare) folder: &'a Path,
    /// How many threads serve.
    pub(in crate::compare) threads: usize,
    /// Where it listens; 0 if it chooses.
    pub(in crate::compare) port: u16,
}

impl Setup<'_> {
    /// Where a server listens that cannot choose itself.
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}
