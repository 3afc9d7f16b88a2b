//! The client of a request, behind proxies or not.

use std::net::{IpAddr, SocketAddr};

use crate::config::Peer;
use crate::message::Request;

/// The client of a request: its address, and how it has asked the outermost proxy.
///
/// [`TrustedProxies`](super::TrustedProxies) finds it. The middleware
/// [`client_address`](crate::web::middleware::client_address) puts it among the
/// [extensions](Request::extensions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) is_secure: bool,
    pub(super) host: Option<String>,
    /// How many proxies have been passed.
    pub(super) proxies: usize,
}

impl ClientAddress {
    /// The other end of the connection.
    pub(super) fn of_connection(request: &Request) -> Self {
        let address: Option<SocketAddr> = match request.peer() {
            Peer::Tcp(address) => Some(*address),
            Peer::Unix | Peer::Named(_) => None,
        };
        Self {
            ip: address.map(|address| address.ip().to_canonical()),
            port: address.map(|address| address.port()),
            is_secure: is_secure(request),
            host: request.host().map(str::to_owned),
            proxies: 0,
        }
    }

    /// The address. `None` if a proxy hides it, and for a client of a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The port, if it is known.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the client has asked by HTTPS, as far as a proxy says so or the server sees it.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// `https` or `http`: see [`is_secure`](Self::is_secure).
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The host that the client has asked for, with its port if there is one; `None` only in
    /// HTTP/1.0.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// How many proxies stand between the client and this server, as far as they are trusted.
    pub fn proxies(&self) -> usize {
        self.proxies
    }
}

#[cfg(feature = "_tls")]
fn is_secure(request: &Request) -> bool {
    request.tls().is_some()
}

#[cfg(not(feature = "_tls"))]
fn is_secure(_: &Request) -> bool {
    false
}
