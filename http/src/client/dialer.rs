//! Opening a connection: the name, TCP, a proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use straightline_net::{TcpStream, lookup_host};
use straightline_sched::deadline;
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, ProxyProtocol, Timeout};

use super::client_tls::ClientTls;
use super::connect_error::ConnectError;
use super::pool::Stream;
use super::refused_address::RefusedAddress;
use super::route::{Families, Route, without_brackets};
use super::tunnel;
use crate::config::Networks;

/// What all connections of a client have in common.
pub(super) struct Dialer {
    pub(super) tls: ClientTls,
    /// Servers with such an address are not called.
    pub(super) refused: Networks,
}

impl Dialer {
    /// Opens a connection. The caller bounds the time.
    ///
    /// A yield point.
    pub(super) fn dial(&self, route: &Route) -> Result<Stream, Error> {
        if route.is_https() {
            ClientTls::check()?;
        }
        let Some(proxy) = route.proxy() else {
            let stream = Box::new(connect(route.host(), route.port(), route, &self.refused)?);
            return self.encrypted(route, stream);
        };
        // The proxy resolves names, so a name is not checked here.
        if let Ok(address) = route.host().parse()
            && self.refused.contains(address)
        {
            return Err(RefusedAddress::of(&route.host_and_port(), address));
        }
        let host = without_brackets(proxy.host());
        // The program has chosen the proxy, wherever it is.
        let proxied = connect(host, proxy.port(), route, &Networks::default())?;
        let mut stream: Stream = Box::new(proxied);
        if proxy.protocol() == ProxyProtocol::Https {
            stream = self.tls.over(host, stream)?;
        }
        tunnel::open(&*stream, &route.host_and_port(), proxy)?;
        self.encrypted(route, stream)
    }

    fn encrypted(&self, route: &Route, stream: Stream) -> Result<Stream, Error> {
        if route.is_https() { self.tls.over(route.host(), stream) } else { Ok(stream) }
    }
}

/// Runs `open` within the time of a client for a connection, and within that of a request.
///
/// A yield point.
pub(super) fn in_time<T>(
    connect_timeout: Duration,
    timeout: NextTimeout,
    open: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let of_request = (!timeout.after.is_not_happening()).then_some(*timeout.after);
    let (time, reason) = match of_request {
        Some(time) if time < connect_timeout => (time, timeout.reason),
        _ => (connect_timeout, Timeout::Connect),
    };
    deadline(time, open).unwrap_or(Err(Error::Timeout(reason)))
}

fn connect(host: &str, port: u16, route: &Route, refused: &Networks) -> Result<TcpStream, Error> {
    let failed = |error| ConnectError::of(format!("{host}:{port}"), error);
    let is_wanted = |address: &SocketAddr| match route.families() {
        Families::Both => true,
        Families::Ipv4 => address.is_ipv4(),
        Families::Ipv6 => address.is_ipv6(),
    };
    let found = lookup_host((host, port)).map_err(failed)?;
    let mut addresses: Vec<_> = found.filter(is_wanted).collect();
    // What is connected to is what was checked: the name is not looked up again.
    if let Some(first) = addresses.first().map(SocketAddr::ip) {
        addresses.retain(|address| !refused.contains(address.ip()));
        if addresses.is_empty() {
            return Err(RefusedAddress::of(&format!("{host}:{port}"), first));
        }
    }
    if addresses.is_empty() {
        let text = "the name has no address of the family that is set";
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, text)));
    }
    let stream = TcpStream::connect(&addresses[..]).map_err(failed)?;
    stream.set_nodelay(route.is_nodelay()).map_err(failed)?;
    Ok(stream)
}
