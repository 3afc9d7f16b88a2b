//! Where a server listens, and who connects.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where to listen: an IP address with a port, or the path of a Unix socket.
///
/// As text, `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`.
///
/// ```
/// use straightline::Address;
///
/// let address: Address = "unix:/run/app.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/app.sock");
/// assert!("nonsense".parse::<Address>().is_err());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// The client at the other end of a connection; see [`Request::peer`](crate::Request::peer).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A TCP client.
    Tcp(SocketAddr),
    /// A client of the Unix socket; those have no address.
    Unix,
}

/// What [`ServerBuilder::bind`](crate::ServerBuilder::bind) takes.
///
/// ```
/// use std::path::Path;
/// use straightline::{Address, IntoAddress};
///
/// let path = Path::new("/run/app.sock");
/// assert_eq!(path.into_address()?, "unix:/run/app.sock".parse::<Address>()?);
/// # std::io::Result::Ok(())
/// ```
pub trait IntoAddress {
    /// The address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not an address.
    fn into_address(self) -> io::Result<Address>;
}

impl Address {
    /// The TCP address, if it is one.
    pub fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = io::Error;

    /// Names such as `localhost:80` are resolved; the first address counts.
    ///
    /// # Blocking
    ///
    /// Not a yield point: a name blocks the thread for as long as the system's resolver takes.
    fn from_str(text: &str) -> io::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(invalid("unix: needs a path"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let found = text.to_socket_addrs().map_err(|error| {
            invalid(format!("{text:?} is not an address (such as 127.0.0.1:8080): {error}"))
        })?;
        let first = found.into_iter().next();
        first.map(Self::Tcp).ok_or_else(|| invalid(format!("{text:?} resolves to no address")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Peer {
    /// The client without its port, which is another one for each connection.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().to_string(),
            Self::Unix => self.to_string(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl IntoAddress for Address {
    fn into_address(self) -> io::Result<Address> {
        Ok(self)
    }
}

impl IntoAddress for SocketAddr {
    fn into_address(self) -> io::Result<Address> {
        Ok(Address::Tcp(self))
    }
}

impl IntoAddress for &Path {
    fn into_address(self) -> io::Result<Address> {
        Ok(Address::Unix(self.to_owned()))
    }
}

impl IntoAddress for &str {
    fn into_address(self) -> io::Result<Address> {
        self.parse()
    }
}

impl IntoAddress for String {
    fn into_address(self) -> io::Result<Address> {
        self.parse()
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}
