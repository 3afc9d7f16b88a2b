//! The names of hosts, and the source and destination addresses of packets.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::{self as sched, sim::host};

use super::table::{Net, NetState};

/// The names of a network.
pub(super) struct Hosts {
    names: BTreeMap<String, Vec<IpAddr>>,
    /// The resolver fails every lookup.
    pub(super) is_resolver_down: bool,
}

/// The simulated resolver.
pub(crate) fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let net = Net::current();
    let takes = net.with(|state| state.random.duration(RESOLVER_LATENCY))?;
    sched::sleep(takes);
    let found = net.with(|state| state.hosts.find(name))??;
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

impl Hosts {
    pub(super) fn set_name(&mut self, name: &str, addresses: Vec<IpAddr>) {
        let name = canonical(name);
        if addresses.is_empty() {
            self.names.remove(&name);
        } else {
            self.names.insert(name, addresses);
        }
    }

    /// The error in the words of the system's resolver.
    fn find(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let failed = |why| io::Error::other(format!("failed to lookup address information: {why}"));
        if self.is_resolver_down {
            return Err(failed("Temporary failure in name resolution"));
        }
        let found = self.names.get(&canonical(name));
        found.cloned().ok_or_else(|| failed("Name or service not known"))
    }
}

/// The source and the destination of a packet to that address.
pub(super) fn route(remote: SocketAddr) -> io::Result<(IpAddr, SocketAddr)> {
    let mut remote = remote;
    let local = match (host().unwrap_or(LOCALHOST), remote) {
        (IpAddr::V4(ip), SocketAddr::V4(_)) => IpAddr::V4(ip),
        (IpAddr::V6(ip), SocketAddr::V6(_)) => IpAddr::V6(ip),
        (LOCALHOST, SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        // A host has one address, so the address of the other version of IP is derived from it.
        (IpAddr::V4(ip), SocketAddr::V6(_)) => IpAddr::V6(ip.to_ipv6_mapped()),
        (IpAddr::V6(_), SocketAddr::V4(_)) => return Err(Errno::NETUNREACH.into()),
    };
    if remote.ip().is_unspecified() {
        remote.set_ip(local); // as on Linux: this host
    }
    Ok((local, remote))
}

impl Default for Hosts {
    fn default() -> Self {
        let localhost = vec![IpAddr::V6(Ipv6Addr::LOCALHOST), LOCALHOST];
        let names = BTreeMap::from([("localhost".to_owned(), localhost)]);
        Self { names, is_resolver_down: false }
    }
}

impl NetState {
    /// Whether no packet gets from `from` to `to`.
    pub(super) fn is_cut(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.faults.is_cut(from, to)
    }
}

/// Names compare without regard to case (RFC 4343). A dot at the end says only that the resolver
/// must append nothing.
fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long the resolver takes, as in a local network. Arbitrary.
const RESOLVER_LATENCY: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(200)..=Duration::from_millis(5);
