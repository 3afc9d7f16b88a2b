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
use super::route::{Families, Route, without_brackets};
use super::tunnel;

/// What all connections of a client have in common.
pub(super) struct Dialer {
    pub(super) tls: ClientTls,
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
            let stream = Box::new(connect(route.host(), route.port(), route)?);
            return self.encrypted(route, stream);
        };
        let host = without_brackets(proxy.host());
        let mut stream: Stream = Box::new(connect(host, proxy.port(), route)?);
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

fn connect(host: &str, port: u16, route: &Route) -> Result<TcpStream, Error> {
    let failed = |error| ConnectError::of(format!("{host}:{port}"), error);
    let is_wanted = |address: &SocketAddr| match route.families() {
        Families::Both => true,
        Families::Ipv4 => address.is_ipv4(),
        Families::Ipv6 => address.is_ipv6(),
    };
    let found = lookup_host((host, port)).map_err(failed)?;
    let addresses: Vec<_> = found.filter(is_wanted).collect();
    if addresses.is_empty() {
        let text = "the name has no address of the family that is set";
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, text)));
    }
    let stream = TcpStream::connect(&addresses[..]).map_err(failed)?;
    stream.set_nodelay(route.is_nodelay()).map_err(failed)?;
    Ok(stream)
}
