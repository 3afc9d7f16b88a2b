//! Where a server listens, and the connect to it, with TLS or without.

use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use straightline_net::{TcpStream, UnixStream, lookup_host};
use straightline_sched::{random_u64, sim};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::tls::TlsConnect;

use super::wire::Wire;
use crate::error::Error;

/// One of the addresses of a configuration, before names are looked up.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Tcp { host: String, ip: Option<IpAddr>, port: u16 },
    Unix(PathBuf),
}

/// An address that a connection was made to. A cancel request goes there too.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    Tcp { host: String, address: SocketAddr },
    Unix(PathBuf),
}

/// What is set on a TCP socket.
#[derive(Clone, Debug)]
pub(super) struct SocketOptions {
    keepalive: Option<TcpKeepalive>,
    user_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
}

/// The addresses of a configuration, in their order, or mixed if it asks for that.
pub(super) fn targets(config: &Config) -> Result<Vec<Target>, Error> {
    let (hosts, ips, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    if hosts.is_empty() && ips.is_empty() {
        return Err(Error::Config("the address of the database names no host".to_owned()));
    }
    let count = hosts.len().max(ips.len());
    let fits = |length: usize| length == 0 || length == count;
    if !fits(hosts.len()) || !fits(ips.len()) || !(fits(ports.len()) || ports.len() == 1) {
        let text = "the address of the database has several hosts, and another number of ports \
                    or addresses";
        return Err(Error::Config(text.to_owned()));
    }
    let target = |at: usize| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
        let ip = ips.get(at).copied();
        match (hosts.get(at), ip) {
            (Some(Host::Tcp(host)), ip) => Target::Tcp { host: host.clone(), ip, port },
            (Some(Host::Unix(folder)), _) => Target::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            (None, ip) => {
                let host = ip.map(|ip| ip.to_string()).unwrap_or_default();
                Target::Tcp { host, ip, port }
            }
        }
    };
    Ok((0..count).map(target).collect())
}

/// The targets in the order in which a connect tries them.
pub(super) fn in_order(targets: &[Target], config: &Config) -> Vec<Target> {
    let mut targets = targets.to_vec();
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        for last in (1..targets.len()).rev() {
            let other = random_u64() % (last as u64 + 1);
            targets.swap(last, usize::try_from(other).unwrap_or_default());
        }
    }
    targets
}

impl Target {
    /// The addresses of the name. A yield point if it is a name.
    pub(super) fn endpoints(&self) -> Result<Vec<Endpoint>, Error> {
        match self {
            Self::Unix(path) => Ok(vec![Endpoint::Unix(path.clone())]),
            Self::Tcp { host, ip: Some(ip), port } => {
                let address = SocketAddr::new(*ip, *port);
                Ok(vec![Endpoint::Tcp { host: host.clone(), address }])
            }
            Self::Tcp { host, ip: None, port } => {
                let found = lookup_host((host.as_str(), *port));
                let found = found.map_err(|error| Error::connect(self.to_string(), error))?;
                let endpoint = |address| Endpoint::Tcp { host: host.clone(), address };
                Ok(found.map(endpoint).collect())
            }
        }
    }
}

impl Endpoint {
    /// Connects. A yield point.
    pub(super) fn connect(&self, options: &SocketOptions) -> io::Result<Wire> {
        match self {
            Self::Tcp { address, .. } => {
                let stream = match options.connect_timeout {
                    Some(timeout) => TcpStream::connect_timeout(address, timeout)?,
                    None => TcpStream::connect(*address)?,
                };
                options.apply(&stream)?;
                Ok(Wire::new(stream))
            }
            Self::Unix(path) => Ok(Wire::new(UnixStream::connect(path)?)),
        }
    }

    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl SocketOptions {
    pub(super) fn new(config: &Config) -> Self {
        let keepalive = config.get_keepalives().then(|| {
            let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
            if let Some(interval) = config.get_keepalives_interval() {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(retries) = config.get_keepalives_retries() {
                keepalive = keepalive.with_retries(retries);
            }
            keepalive
        });
        Self {
            keepalive,
            user_timeout: config.get_tcp_user_timeout().copied(),
            connect_timeout: config.get_connect_timeout().copied(),
        }
    }

    fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if sim::is_simulated() {
            return Ok(()); // a simulated stream has no descriptor
        }
        let socket = SockRef::from(stream);
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(keepalive)?;
        }
        #[cfg(target_os = "linux")]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}

/// How a connection begins TLS, if it does.
pub(super) struct Secure {
    pub(super) connector: Option<Connector>,
    /// The name that the certificate has to have.
    pub(super) name: String,
}

#[cfg(feature = "tls")]
pub(super) use straightline_tls::TlsConnector as Connector;

/// Without the feature there is no connector.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(super) enum Connector {}

impl TlsConnect<Wire> for Secure {
    type Stream = Wire;
    type Error = io::Error;
    type Future = Ready<io::Result<Wire>>;

    /// The handshake waits as blocking code does, in the poll: the future around it is the only
    /// work of its fiber.
    fn connect(self, stream: Wire) -> Self::Future {
        ready(self.handshake(stream))
    }
}

impl Secure {
    fn handshake(self, stream: Wire) -> io::Result<Wire> {
        let Some(connector) = self.connector else {
            let text = format!("no TLS connector was set for {}", self.name);
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        };
        secured(&connector, &self.name, stream)
    }
}

#[cfg(feature = "tls")]
fn secured(connector: &Connector, name: &str, stream: Wire) -> io::Result<Wire> {
    Ok(Wire::new(connector.connect(name, stream.into_stream())?))
}

#[cfg(not(feature = "tls"))]
fn secured(connector: &Connector, _: &str, _: Wire) -> io::Result<Wire> {
    match *connector {}
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, ip: Some(ip), port } if *host != ip.to_string() => {
                write!(f, "{host}:{port} ({ip})")
            }
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, address } if *host != address.ip().to_string() => {
                write!(f, "{host}:{} ({})", address.port(), address.ip())
            }
            Self::Tcp { address, .. } => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The registered port of PostgreSQL.
const PORT: u16 = 5432;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> Result<Vec<String>, String> {
        let config = address.parse::<Config>().expect("an address");
        let targets = targets(&config).map_err(|error| error.to_string())?;
        Ok(targets.iter().map(Target::to_string).collect())
    }

    #[test]
    fn each_host_has_its_port() {
        let cases: [(&str, &[&str]); 6] = [
            ("postgres://u@db/x", &["db:5432"]),
            ("postgres://u@a:1,b:2/x", &["a:1", "b:2"]),
            ("host=a,b port=7 user=u", &["a:7", "b:7"]),
            ("host=db hostaddr=10.0.0.1 user=u", &["db:5432 (10.0.0.1)"]),
            ("hostaddr=10.0.0.1 port=6 user=u", &["10.0.0.1:6"]),
            ("host=/run/postgresql user=u", &["/run/postgresql/.s.PGSQL.5432"]),
        ];
        for (address, expected) in cases {
            assert_eq!(shown(address).expect(address), expected, "{address}");
        }
    }

    #[test]
    fn an_address_without_a_host_and_one_with_too_few_ports_are_refused() {
        for (address, text) in
            [("user=u", "names no host"), ("host=a,b,c port=1,2 user=u", "another number of ports")]
        {
            let error = shown(address).expect_err(address);
            assert!(error.contains(text), "{address}: {error}");
        }
    }
}
