//! From names to addresses, and what is connected to and bound.
//!
//! An address never leaves the thread. The system's resolver (`getaddrinfo` with its files, caches
//! and sorting) resolves names; it blocks, so it runs on the offload pool.

use std::io::{self, ErrorKind};
use std::iter::FusedIterator;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

use straightline_sched::{offload, sim};

/// Addresses, or a host to be resolved: what std's [`ToSocketAddrs`](std::net::ToSocketAddrs)
/// takes, for calls that do not block the thread.
///
/// | value | example |
/// |---|---|
/// | an address | `SocketAddr`, `SocketAddrV4`, `SocketAddrV6` |
/// | an IP address and a port | `(Ipv4Addr::LOCALHOST, 80)` |
/// | a text | `"127.0.0.1:80"`, `"[::1]:80"`, `"example.org:80"` |
/// | a host and a port | `("example.org", 80)`, `("::1", 80)` |
/// | several addresses | `&[SocketAddr]` |
///
/// A name is resolved by the call that takes it, as by [`lookup_host`], and that call is a yield
/// point then. An address never is.
///
/// The trait is sealed: nothing else implements it.
///
/// ```
/// use std::net::Ipv4Addr;
/// use straightline_net::lookup_host;
///
/// let address = lookup_host((Ipv4Addr::LOCALHOST, 80))?.next();
/// assert_eq!(address, lookup_host("127.0.0.1:80")?.next());
/// assert!(lookup_host("example.org").is_err()); // no port
/// # std::io::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address",
    label = "an address has a port",
    note = "pass a `SocketAddr`, a text such as \"127.0.0.1:80\" or \"example.org:80\", or a host \
            with a port such as (\"example.org\", 80)"
)]
pub trait ToSocketAddrs: sealed::ToTarget {}

mod sealed {
    /// The private half of [`ToSocketAddrs`](super::ToSocketAddrs).
    pub trait ToTarget {
        fn to_target(&self) -> std::io::Result<super::Target>;
    }
}

/// Where to connect to or to listen: addresses, or a name that is not resolved yet.
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
pub fn lookup_host(target: impl ToSocketAddrs) -> io::Result<Addresses> {
    target.to_target()?.resolve()
}

/// Calls `act` with one address of `target` after the other, until it succeeds. Otherwise returns
/// the error for the last address.
pub(crate) fn with_first<T>(
    target: &impl ToSocketAddrs,
    mut act: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut result = Err(invalid("no address".to_owned()));
    for address in target.to_target()?.resolve()? {
        result = act(address);
        if result.is_ok() {
            break;
        }
    }
    result
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
            let found = net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port));
            let found: Vec<_> = found.map_err(|error| cannot_resolve(&name, &error))?.collect();
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

/// Implements the trait for a type by a function that makes a target of a reference.
macro_rules! impl_to_socket_addrs {
    ($($address:ty, $to_target:expr;)*) => {
        $(
            impl ToSocketAddrs for $address {}

            impl sealed::ToTarget for $address {
                fn to_target(&self) -> io::Result<Target> {
                    let to_target: fn(&Self) -> io::Result<Target> = $to_target;
                    to_target(self)
                }
            }
        )*
    };
}

impl_to_socket_addrs! {
    SocketAddr, |address| Ok(one(*address));
    SocketAddrV4, |address| Ok(one(*address));
    SocketAddrV6, |address| Ok(one(*address));
    (IpAddr, u16), |address| Ok(one(*address));
    (Ipv4Addr, u16), |address| Ok(one(*address));
    (Ipv6Addr, u16), |address| Ok(one(*address));
    [SocketAddr], several;
    (&str, u16), |(host, port)| of_host(host, *port);
    (String, u16), |(host, port)| of_host(host, *port);
    str, of_text;
    String, |text| of_text(text);
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}

impl<T: ToSocketAddrs + ?Sized> sealed::ToTarget for &T {
    fn to_target(&self) -> io::Result<Target> {
        (**self).to_target()
    }
}

fn one(address: impl Into<SocketAddr>) -> Target {
    Target { kind: Kind::Address(address.into()) }
}

fn several(addresses: &[SocketAddr]) -> io::Result<Target> {
    match *addresses {
        [] => Err(invalid("an empty list of addresses".to_owned())),
        [address] => Ok(one(address)),
        _ => Ok(Target { kind: Kind::Addresses(addresses.to_owned()) }),
    }
}

fn of_host(host: &str, port: u16) -> io::Result<Target> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(one((ip, port)));
    }
    let is_name = !host.is_empty() && !host.contains([':', '[', ']', '\0', ' ', '/']);
    if !is_name {
        return Err(invalid(format!("{host:?} is neither an IP address nor a host name")));
    }
    Ok(Target { kind: Kind::Name(host.to_owned(), port) })
}

fn of_text(text: &str) -> io::Result<Target> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(one(address));
    }
    text.rsplit_once(':')
        .and_then(|(host, port)| of_host(host, port.parse::<u16>().ok()?).ok())
        // An IPv6 address with a port is written in brackets: "::1:80" is ambiguous.
        .filter(|target| matches!(target.kind, Kind::Name(..)))
        .ok_or_else(|| {
            let example = "such as 127.0.0.1:80, [::1]:80 or example.org:80";
            invalid(format!("{text:?} is not an IP address or a name with a port, {example}"))
        })
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

fn cannot_resolve(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot resolve {name:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::sealed::ToTarget;
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
            assert_eq!(text.to_target().ok(), expected, "{text}");
        }
        assert_eq!(("::1", 80).to_target().ok(), Some(address("[::1]:80")));
        assert_eq!(("[::1]", 80).to_target().ok(), None);
    }
}
