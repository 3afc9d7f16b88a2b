//! Where a server listens, and who connects.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use straightline_net::{ToSocketAddrs, lookup_host};

/// Where to listen: an IP address with a port, or the path of a Unix socket.
///
/// As text, `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `unix:/run/app.sock`. It converts
/// from `SocketAddr` and the like, from a host with a port, from a `Path` and from text.
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::path::Path;
/// use straightline::Address;
///
/// let address: Address = "unix:/run/app.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/app.sock");
/// assert_eq!(address, Path::new("/run/app.sock").into());
/// assert_eq!(Address::try_from(("127.0.0.1", 80))?, (Ipv4Addr::LOCALHOST, 80).into());
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
    /// The other end of a stream that the program [serves](crate::ServerHandle::serve), with the
    /// name that the program has given it.
    Named(Arc<str>),
}

/// A value that is not an [`Address`].
///
/// It converts into an [`io::Error`] of the kind `InvalidInput`, or of the resolver's error.
///
/// ```
/// use straightline::Address;
///
/// let error = "localhost".parse::<Address>().unwrap_err();
/// assert!(error.to_string().starts_with("\"localhost\" is not an address"), "{error}");
/// ```
#[derive(Debug)]
pub struct AddressError {
    address: String,
    source: io::Error,
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
    type Err = AddressError;

    /// Names such as `localhost:80` are resolved; the first address counts.
    ///
    /// # Blocking
    ///
    /// A yield point if the text has a name, which is resolved as by
    /// [`lookup_host`](straightline_net::lookup_host). On a thread without fibers the thread waits.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(AddressError::new(text, invalid("a path is missing after `unix:`"))),
            Some(path) => Ok(Self::Unix(path.into())),
            None => Self::resolve(text, text),
        }
    }
}

impl Address {
    /// The first address of `target`, which is `shown` in an error.
    fn resolve(shown: &str, target: impl ToSocketAddrs) -> Result<Self, AddressError> {
        let first = lookup_host(target)
            .and_then(|mut found| found.next().ok_or_else(|| invalid("it resolves to no address")));
        first.map(Self::Tcp).map_err(|error| AddressError::new(shown, error))
    }
}

/// As [`FromStr`].
impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

/// As [`FromStr`].
impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

/// As [`FromStr`].
impl TryFrom<&String> for Address {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        text.parse()
    }
}

/// A host, which is an IP address or a name, and a port.
impl TryFrom<(&str, u16)> for Address {
    type Error = AddressError;

    fn try_from((host, port): (&str, u16)) -> Result<Self, AddressError> {
        Self::resolve(&format!("{host}:{port}"), (host, port))
    }
}

/// A host, which is an IP address or a name, and a port.
impl TryFrom<(String, u16)> for Address {
    type Error = AddressError;

    fn try_from((host, port): (String, u16)) -> Result<Self, AddressError> {
        (host.as_str(), port).try_into()
    }
}

macro_rules! impl_from {
    ($($from:ty => $variant:ident;)*) => {
        $(
            impl From<$from> for Address {
                fn from(from: $from) -> Self {
                    Self::$variant(from.into())
                }
            }
        )*
    };
}

impl_from! {
    SocketAddr => Tcp;
    SocketAddrV4 => Tcp;
    SocketAddrV6 => Tcp;
    (IpAddr, u16) => Tcp;
    (Ipv4Addr, u16) => Tcp;
    (Ipv6Addr, u16) => Tcp;
    PathBuf => Unix;
    &PathBuf => Unix;
    &Path => Unix;
}

impl AddressError {
    fn new(address: &str, source: io::Error) -> Self {
        Self { address: address.to_owned(), source }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        write!(f, "{address:?} is not an address")?;
        if source.kind() == io::ErrorKind::InvalidInput {
            f.write_str(" (an IP address or a name with a port, or `unix:` and a path)")?;
        }
        write!(f, ": {source}")
    }
}

impl Error for AddressError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<AddressError> for io::Error {
    fn from(error: AddressError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// For what is an address in any case.
impl From<Infallible> for AddressError {
    fn from(never: Infallible) -> Self {
        match never {}
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
    /// A client without an address of the kinds that the server knows, by a name for logs and
    /// events. Not a yield point.
    ///
    /// ```
    /// use straightline::Peer;
    ///
    /// assert_eq!(Peer::named("vsock 3").to_string(), "vsock 3");
    /// ```
    pub fn named(name: &str) -> Self {
        Self::Named(name.into())
    }

    /// The client without its port, which is another one for each connection.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().to_string(),
            Self::Unix | Self::Named(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Named(name) => write!(f, "{}", name.escape_debug()),
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<A: TryInto<Address, Error: Into<AddressError>>>(address: A) -> Result<String, String> {
        let address = address.try_into().map_err(Into::into);
        address.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_made_of_whatever_says_where_to_listen() {
        let tcp = Ok("127.0.0.1:80".to_owned());
        assert_eq!(of("127.0.0.1:80"), tcp);
        let text = String::from("127.0.0.1:80");
        assert_eq!(of(&text), tcp);
        assert_eq!(of(text), tcp);
        assert_eq!(of(("127.0.0.1", 80)), tcp);
        assert_eq!(of((String::from("127.0.0.1"), 80)), tcp);
        assert_eq!(of((Ipv4Addr::LOCALHOST, 80)), tcp);
        assert_eq!(of((IpAddr::V4(Ipv4Addr::LOCALHOST), 80)), tcp);
        assert_eq!(of(SocketAddr::from(([127, 0, 0, 1], 80))), tcp);
        assert_eq!(of(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 80)))), tcp);
        assert_eq!(of("[::1]:80"), of((Ipv6Addr::LOCALHOST, 80)));
        let unix = Ok("unix:/run/app.sock".to_owned());
        assert_eq!(of("unix:/run/app.sock"), unix);
        assert_eq!(of(Path::new("/run/app.sock")), unix);
        let path = PathBuf::from("/run/app.sock");
        assert_eq!(of(&path), unix);
        assert_eq!(of(path), unix);
        let name = of(("localhost", 80)).expect("each machine has it");
        assert!(name == "127.0.0.1:80" || name == "[::1]:80", "{name}");
    }

    #[test]
    fn what_is_no_address_is_named_in_the_error() {
        for wrong in ["localhost", "80", "", "::1:80", "/run/app.sock", "unix:", "localhost:http"] {
            let text = of(wrong).expect_err(wrong);
            let begin = format!("{wrong:?} is not an address (an IP address or a name with a port");
            assert!(text.starts_with(&begin), "{text}");
        }
        let error = AddressError::new("a:1", io::ErrorKind::NotFound.into());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    }
}
