//! From names to addresses, and the targets of a connect.
//!
//! An address never leaves the thread. The system's resolver (`getaddrinfo` with its files, caches
//! and sorting) resolves names; it blocks, so it runs on the offload pool.

use std::io::{self, ErrorKind};
use std::iter::FusedIterator;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::vec;

use straightline_sched::{offload, sim};

/// A target of [`TcpStream::connect`](crate::TcpStream::connect): one [`SocketAddr`] or several, a
/// text such as `"example.org:80"` or `"[::1]:80"`, or a host and a port.
///
/// This is std's [`ToSocketAddrs`], except that the name is not resolved yet.
///
/// ```
/// use straightline_net::IntoTarget;
///
/// assert!("example.org:443".into_target().is_ok());
/// assert!(("::1", 443).into_target().is_ok());
/// assert!("example.org".into_target().is_err()); // no port
/// ```
pub trait IntoTarget {
    /// The target.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is neither an address nor a name, each with a port.
    fn into_target(self) -> io::Result<Target>;
}

/// Where to connect to: addresses, or a name that is not resolved yet; see [`IntoTarget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Address(SocketAddr),
    Addresses(Vec<SocketAddr>),
    Name(String, u16),
}

/// The addresses of a host, the preferred one first; what [`lookup_host`] returns.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The first is a field of its own, so that a literal needs no allocation.
    first: Option<SocketAddr>,
    others: vec::IntoIter<SocketAddr>,
}

/// Resolves a host name with the system's resolver; in a simulation with that of its
/// [network](crate::sim::Network::name).
///
/// # Blocking
///
/// A yield point, unless the target is an address already: the resolver runs on the pool of
/// [`offload`](straightline_sched::offload). On a thread without fibers the thread waits.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds. The resolver runs on until it gives up,
/// and keeps its thread for as long.
///
/// # Errors
///
/// `InvalidInput` if the target is neither an address nor a name with a port; the resolver's error,
/// also if it knows no address; [`OffloadError`](straightline_sched::OffloadError) inside of an
/// `io::Error` when the pool is overloaded.
///
/// ```
/// use straightline_net::lookup_host;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     assert!(lookup_host("localhost:80")?.all(|address| address.ip().is_loopback()));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn lookup_host(target: impl IntoTarget) -> io::Result<Addresses> {
    target.into_target()?.resolve()
}

impl Target {
    pub(crate) fn resolve(self) -> io::Result<Addresses> {
        let (name, port) = match self.kind {
            Kind::Address(address) => {
                return Ok(Addresses { first: Some(address), others: Vec::new().into_iter() });
            }
            Kind::Addresses(addresses) => return Ok(addresses.into()),
            Kind::Name(name, port) => (name, port),
        };
        if sim::is_simulated() {
            return crate::sim::resolve(&name, port).map(Addresses::from);
        }
        let found = offload(move || {
            let found: Vec<_> = (name.as_str(), port).to_socket_addrs()?.collect();
            if found.is_empty() {
                let message = format!("{name:?} has no address");
                return Err(io::Error::new(ErrorKind::NotFound, message));
            }
            Ok(found)
        })?;
        Ok(found?.into())
    }
}

impl Iterator for Addresses {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        self.first.take().or_else(|| self.others.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::from(self.first.is_some()) + self.others.len();
        (count, Some(count))
    }
}

impl ExactSizeIterator for Addresses {}

impl FusedIterator for Addresses {}

impl From<Vec<SocketAddr>> for Addresses {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { first: None, others: addresses.into_iter() }
    }
}

impl IntoTarget for Target {
    fn into_target(self) -> io::Result<Target> {
        Ok(self)
    }
}

impl IntoTarget for SocketAddr {
    fn into_target(self) -> io::Result<Target> {
        Ok(Target { kind: Kind::Address(self) })
    }
}

impl IntoTarget for (IpAddr, u16) {
    fn into_target(self) -> io::Result<Target> {
        SocketAddr::from(self).into_target()
    }
}

impl IntoTarget for &[SocketAddr] {
    fn into_target(self) -> io::Result<Target> {
        match *self {
            [] => Err(invalid("no address to connect to".to_owned())),
            [address] => address.into_target(),
            _ => Ok(Target { kind: Kind::Addresses(self.to_owned()) }),
        }
    }
}

impl IntoTarget for (&str, u16) {
    fn into_target(self) -> io::Result<Target> {
        let (host, port) = self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return (ip, port).into_target();
        }
        let is_name = !host.is_empty() && !host.contains([':', '[', ']', '\0', ' ', '/']);
        if !is_name {
            return Err(invalid(format!("{host:?} is neither an IP address nor a host name")));
        }
        Ok(Target { kind: Kind::Name(host.to_owned(), port) })
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> io::Result<Target> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.into_target();
        }
        self.rsplit_once(':')
            .and_then(|(host, port)| (host, port.parse::<u16>().ok()?).into_target().ok())
            // An IPv6 address with a port is written in brackets: "::1:80" is ambiguous.
            .filter(|target| matches!(target.kind, Kind::Name(..)))
            .ok_or_else(|| {
                invalid(format!("{self:?} is neither an IP address nor a name with a port"))
            })
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> io::Result<Target> {
        self.as_str().into_target()
    }
}

impl IntoTarget for String {
    fn into_target(self) -> io::Result<Target> {
        self.as_str().into_target()
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16) -> Target {
        Target { kind: Kind::Name(host.to_owned(), port) }
    }

    fn address(text: &str) -> Target {
        Target { kind: Kind::Address(text.parse().expect("an address")) }
    }

    #[test]
    fn a_text_is_an_address_or_a_name_with_a_port() {
        for (text, expected) in [
            ("localhost:80", Some(name("localhost", 80))),
            ("a-b.example.org.:65535", Some(name("a-b.example.org.", 65_535))),
            ("127.0.0.1:80", Some(address("127.0.0.1:80"))),
            ("[::1]:80", Some(address("[::1]:80"))),
            ("::1:80", None),
            ("[localhost]:80", None),
            ("localhost", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("localhost:+", None),
            ("http://localhost:80", None),
            (":80", None),
            ("", None),
        ] {
            assert_eq!(text.into_target().ok(), expected, "{text}");
        }
        assert_eq!(("::1", 80).into_target().ok(), Some(address("[::1]:80")));
        assert_eq!(("[::1]", 80).into_target().ok(), None);
    }
}
