//! What the ends of simulated sockets are called.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net as unix;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Inet(SocketAddr),
    /// `None` if it was never bound.
    Unix(Option<PathBuf>),
}

impl Name {
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    pub(super) fn is(&self, address: SocketAddr) -> bool {
        *self == Self::Inet(address)
    }

    pub(crate) fn unix(&self) -> io::Result<unix::SocketAddr> {
        match self {
            Self::Unix(Some(path)) => unix::SocketAddr::from_pathname(path),
            // Without a path it is an unnamed one.
            Self::Unix(None) | Self::Inet(_) => unix::SocketAddr::from_pathname(""),
        }
    }

    /// # Panics
    ///
    /// If it is a Unix socket's.
    pub(crate) fn inet(&self) -> SocketAddr {
        match self {
            Self::Inet(address) => *address,
            Self::Unix(_) => unreachable!("a TCP socket with a path"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(Some(path)) => path.display().fmt(f),
            Self::Unix(None) => f.write_str("(unnamed)"),
        }
    }
}
