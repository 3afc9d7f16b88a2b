//! What there is in a simulated network: its ends, listeners and datagram sockets, and its manners.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::{self, Random};

use super::address::Name;
use super::datagram::Datagrams;
use super::link::Link;
use super::listener::Listener;
use super::network::NetworkStats;
use super::stream::End;

/// One of each simulation.
pub(crate) struct State {
    pub(super) random: RefCell<Random>,
    pub(super) link: RefCell<Link>,
    /// Of certain pairs of hosts, the smaller address first.
    pub(super) links: RefCell<BTreeMap<(IpAddr, IpAddr), Link>>,
    /// By their numbers, which are also the order of their making.
    pub(super) ends: RefCell<BTreeMap<u64, Rc<End>>>,
    pub(super) listeners: RefCell<BTreeMap<u64, Rc<Listener>>>,
    pub(super) datagrams: RefCell<BTreeMap<u64, Rc<Datagrams>>>,
    numbers: Cell<u64>,
    next_port: Cell<u16>,
    pub(super) names: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    /// Pairs of hosts, the smaller address first.
    pub(super) partitions: RefCell<BTreeSet<(IpAddr, IpAddr)>>,
    pub(super) isolated: RefCell<BTreeSet<IpAddr>>,
    pub(super) refusing: RefCell<BTreeSet<SocketAddr>>,
    pub(super) accepts_fail: Cell<Option<Errno>>,
    pub(super) lookups_fail: Cell<bool>,
    pub(super) descriptors_max: Cell<usize>,
    /// Sockets that somebody has.
    pub(super) descriptors: Cell<usize>,
    pub(super) stats: Cell<NetworkStats>,
}

impl State {
    /// The simulation's.
    pub(super) fn current() -> Rc<Self> {
        sim::local(|| {
            sim::on_end(Self::leaks);
            Self::new()
        })
    }

    fn new() -> Self {
        Self {
            random: RefCell::new(sim::fork_random()),
            link: RefCell::default(),
            links: RefCell::default(),
            ends: RefCell::default(),
            listeners: RefCell::default(),
            datagrams: RefCell::default(),
            numbers: Cell::new(0),
            next_port: Cell::new(EPHEMERAL_FIRST),
            names: RefCell::default(),
            partitions: RefCell::default(),
            isolated: RefCell::default(),
            refusing: RefCell::default(),
            accepts_fail: Cell::new(None),
            lookups_fail: Cell::new(false),
            descriptors_max: Cell::new(usize::MAX),
            descriptors: Cell::new(0),
            stats: Cell::default(),
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.update(|number| number + 1);
        self.numbers.get()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut NetworkStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// One socket more, if there may be one.
    pub(super) fn take_descriptor(&self) -> io::Result<()> {
        if self.descriptors.get() >= self.descriptors_max.get() {
            return Err(Errno::MFILE.into());
        }
        self.descriptors.update(|count| count + 1);
        Ok(())
    }

    pub(super) fn give_descriptor(&self) {
        self.descriptors.update(|count| count - 1);
    }

    pub(super) fn link_between(&self, one: &Name, other: &Name) -> Link {
        let links = self.links.borrow();
        let pair = one.ip().zip(other.ip()).map(|(one, other)| ordered(one, other));
        let of_pair = pair.and_then(|pair| links.get(&pair));
        of_pair.cloned().unwrap_or_else(|| self.link.borrow().clone())
    }

    /// Whether nothing gets from one to the other.
    pub(super) fn is_cut(&self, one: &Name, other: &Name) -> bool {
        let Some((one, other)) = one.ip().zip(other.ip()) else { return false };
        let isolated = self.isolated.borrow();
        one != other && (isolated.contains(&one) || isolated.contains(&other))
            || self.partitions.borrow().contains(&ordered(one, other))
    }

    pub(super) fn latency(&self, one: &Name, other: &Name) -> Duration {
        let link = self.link_between(one, other);
        self.random.borrow_mut().duration(link.latency)
    }

    /// The address to bind to: with a port if it has none.
    pub(super) fn bindable(
        &self,
        address: SocketAddr,
        is_taken: impl Fn(SocketAddr) -> bool,
    ) -> io::Result<SocketAddr> {
        if address.port() != 0 {
            return if is_taken(address) { Err(Errno::ADDRINUSE.into()) } else { Ok(address) };
        }
        for _ in EPHEMERAL_FIRST..=u16::MAX {
            let port = self.next_port.get();
            self.next_port.set(port.checked_add(1).unwrap_or(EPHEMERAL_FIRST));
            let address = SocketAddr::new(address.ip(), port);
            if !is_taken(address) {
                return Ok(address);
            }
        }
        Err(Errno::ADDRINUSE.into())
    }

    fn leaks() -> Vec<String> {
        let state = Self::current();
        let ends = state.ends.take().into_values().filter(|end| !end.is_closed());
        let mut leaks: Vec<String> = ends.map(|end| format!("connection {end}")).collect();
        let listeners = state.listeners.take().into_values();
        leaks.extend(listeners.map(|listener| format!("listener {}", listener.name)));
        let datagrams = state.datagrams.take().into_values();
        leaks.extend(datagrams.map(|socket| format!("socket {}", socket.local.borrow())));
        leaks
    }
}

pub(super) fn ordered(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    (one.min(other), one.max(other))
}

/// Where a fiber of that host connects from, to that address.
pub(super) fn source_ip(host: Option<IpAddr>, to: IpAddr) -> IpAddr {
    match host {
        Some(host) if host.is_ipv6() == to.is_ipv6() => host,
        _ if to.is_ipv6() => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Whether who is bound to `bound` hears what is sent to `address`.
pub(super) fn covers(bound: SocketAddr, address: SocketAddr) -> bool {
    bound.port() == address.port()
        && (bound.ip() == address.ip()
            || bound.ip().is_unspecified() && bound.is_ipv6() == address.is_ipv6())
}

/// As Linux's default range begins.
const EPHEMERAL_FIRST: u16 = 32_768;
