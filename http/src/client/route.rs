//! Where a connection leads: the key of the pool, and all that is needed to open it.

use std::io;

use http::uri::{Authority, Scheme};
use ureq::config::IpFamily;
use ureq::unversioned::transport::ConnectionDetails;
use ureq::{Error, Proxy, ProxyProtocol};

/// A server, and the way to it. Two requests with equal routes may use one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    is_https: bool,
    /// With a user name and a password, if the URL has them.
    authority: Authority,
    proxy: Option<Proxy>,
    families: Families,
    is_nodelay: bool,
}

/// Which addresses of a name are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Families {
    Both,
    Ipv4,
    Ipv6,
}

impl Route {
    /// The route of a request.
    pub(super) fn of(details: &ConnectionDetails<'_>) -> Result<Self, Error> {
        let bad = |what: &str| Error::BadUri(format!("{:?} has {what}", details.uri.to_string()));
        let is_https = match details.uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad("a scheme that is neither http nor https")),
        };
        let authority = details.uri.authority().ok_or_else(|| bad("no host"))?.clone();
        let proxy = details.config.proxy().filter(|proxy| !proxy.is_no_proxy(details.uri));
        let families = match details.config.ip_family() {
            IpFamily::Any => Families::Both,
            IpFamily::Ipv4Only => Families::Ipv4,
            IpFamily::Ipv6Only => Families::Ipv6,
        };
        let is_nodelay = details.config.no_delay();
        let proxy = proxy.cloned();
        check_proxy(proxy.as_ref())?;
        Ok(Self { is_https, authority, proxy, families, is_nodelay })
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub(super) fn families(&self) -> Families {
        self.families
    }

    pub(super) fn is_nodelay(&self) -> bool {
        self.is_nodelay
    }

    /// The host, an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        without_brackets(self.authority.host())
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// Host and port, as a CONNECT names them (RFC 9110 section 9.3.6).
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.authority.host(), self.port())
    }
}

pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn check_proxy(proxy: Option<&Proxy>) -> Result<(), Error> {
    match proxy.map(Proxy::protocol) {
        None | Some(ProxyProtocol::Http | ProxyProtocol::Https) => Ok(()),
        Some(other) => {
            let text = format!("a proxy with {other} is not supported, only one with CONNECT");
            Err(Error::Io(io::Error::new(io::ErrorKind::Unsupported, text)))
        }
    }
}

#[cfg(test)]
impl Route {
    /// The route to a host over plain HTTP, without a proxy.
    pub(super) fn to(authority: &str) -> Self {
        let authority = authority.parse().expect("an authority");
        let families = Families::Both;
        Self { is_https: false, authority, proxy: None, families, is_nodelay: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_those_of_the_url() {
        for (authority, host, port, both) in [
            ("example.org", "example.org", 80, "example.org:80"),
            ("example.org:8080", "example.org", 8080, "example.org:8080"),
            ("user:secret@example.org", "example.org", 80, "example.org:80"),
            ("[::1]:81", "::1", 81, "[::1]:81"),
        ] {
            let route = Route::to(authority);
            assert_eq!((route.host(), route.port()), (host, port));
            assert_eq!(route.host_and_port(), both);
        }
        assert_eq!(Route { is_https: true, ..Route::to("a") }.port(), 443);
    }
}
