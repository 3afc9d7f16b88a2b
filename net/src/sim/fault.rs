//! The faults of a network, as data: a test draws them from a seed, prints them, and leaves some
//! out again.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::Random;

use super::link::Link;
use super::table::NetState;
use super::wire::pair;

/// A fault of a network, or the end of one.
///
/// A fault whose name ends in `Some` chooses among the connections or listeners that exist when it
/// happens: the number chooses.
///
/// ```
/// use std::time::Duration;
/// use straightline_net::sim::{Fault, network};
/// use straightline_sched::sim;
///
/// sim::run(1, || {
///     let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
///     let cut = Fault::Partition(one, other).lasting(Duration::from_secs(5));
///     assert_eq!(cut.to_string(), "no way between 10.0.0.1 and 10.0.0.2, for 5s");
///     network().schedule(vec![(Duration::from_secs(60), cut)]);
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// [`Network::set_link`](super::Network::set_link)
    Link(Link),
    /// [`Network::partition`](super::Network::partition)
    Partition(IpAddr, IpAddr),
    /// A partition between the two hosts of one connection.
    PartitionSome(u64),
    /// [`Network::heal`](super::Network::heal)
    Heal(IpAddr, IpAddr),
    /// [`Network::isolate`](super::Network::isolate)
    Isolate(IpAddr),
    /// [`Network::rejoin`](super::Network::rejoin)
    Rejoin(IpAddr),
    /// [`Network::heal_all`](super::Network::heal_all)
    HealAll,
    /// [`Network::vanish`](super::Network::vanish)
    Vanish(SocketAddr),
    /// The ends of one connection never hear of each other again.
    VanishSome(u64),
    /// [`Network::reset`](super::Network::reset)
    Reset(SocketAddr),
    /// Both ends of one connection are reset.
    ResetSome(u64),
    /// [`Network::refuse`](super::Network::refuse)
    Refuse(SocketAddr),
    /// [`Network::refuse`](super::Network::refuse), of one address that has a listener.
    RefuseSome(u64),
    /// [`Network::accept_again`](super::Network::accept_again)
    AcceptAgain(SocketAddr),
    /// [`Network::fail_accepts`](super::Network::fail_accepts)
    FailAccepts(Option<i32>),
    /// [`Network::set_descriptors_max`](super::Network::set_descriptors_max)
    DescriptorsMax(Option<usize>),
    /// [`Network::fail_lookups`](super::Network::fail_lookups)
    FailLookups(bool),
    /// A fault that ends after a while; see [`lasting`](Fault::lasting).
    Lasting(Box<Fault>, Duration),
}

impl Fault {
    /// The fault, and after that time its end. A fault that has no end (a reset, say) is unchanged.
    pub fn lasting(self, time: Duration) -> Self {
        Self::Lasting(Box::new(self), time)
    }

    /// Some faults at some times, all of which are over at `horizon`, except peers that vanish. For
    /// [`plan`](straightline_sched::sim::plan()).
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::sim::{Fault, network};
    /// use straightline_sched::sim;
    ///
    /// sim::check(|| {
    ///     let faults = sim::plan(|random| Fault::draw(random, Duration::from_secs(60)));
    ///     network().schedule(faults);
    ///     // ... a server, its clients, and what must hold
    /// });
    /// ```
    pub fn draw(random: &mut Random, horizon: Duration) -> Vec<(Duration, Self)> {
        let count = random.below(FAULTS_MAX);
        let mut faults: Vec<_> = (0..count).map(|_| Self::draw_one(random, horizon)).collect();
        faults.sort_by_key(|(at, _)| *at);
        faults
    }

    fn draw_one(random: &mut Random, horizon: Duration) -> (Duration, Self) {
        let at = random.duration(Duration::ZERO..=horizon);
        let choice = random.u64();
        let fault = match random.below(8) {
            0 | 1 => Self::PartitionSome(choice),
            2 => Self::VanishSome(choice),
            3 | 4 => Self::ResetSome(choice),
            5 => Self::RefuseSome(choice),
            6 => Self::FailAccepts(Some(Errno::MFILE.raw_os_error())),
            _ => Self::FailLookups(true),
        };
        // Most faults are short, and a fault that lasts is over at the horizon.
        let rest = horizon.saturating_sub(at);
        let time = random.duration(Duration::ZERO..=rest);
        let time = if random.chance(0.5) { time } else { time / 10 };
        match fault {
            Self::VanishSome(_) | Self::ResetSome(_) => (at, fault),
            _ => (at, fault.lasting(time)),
        }
    }

    /// The fault that ends this one.
    fn end(&self) -> Option<Self> {
        match self {
            Self::Partition(one, other) => Some(Self::Heal(*one, *other)),
            Self::Isolate(ip) => Some(Self::Rejoin(*ip)),
            Self::Refuse(address) => Some(Self::AcceptAgain(*address)),
            Self::FailAccepts(Some(_)) => Some(Self::FailAccepts(None)),
            Self::DescriptorsMax(Some(_)) => Some(Self::DescriptorsMax(None)),
            Self::FailLookups(true) => Some(Self::FailLookups(false)),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => write!(f, "the network is from now on {link:?}"),
            Self::Partition(one, other) => write!(f, "no way between {one} and {other}"),
            Self::PartitionSome(choice) => write!(f, "no way between some hosts ({choice})"),
            Self::Heal(one, other) => write!(f, "a way again between {one} and {other}"),
            Self::Isolate(ip) => write!(f, "no way to or from {ip}"),
            Self::Rejoin(ip) => write!(f, "a way again to and from {ip}"),
            Self::HealAll => f.write_str("all is well again"),
            Self::Vanish(address) => write!(f, "{address} vanishes"),
            Self::VanishSome(choice) => write!(f, "some peer vanishes ({choice})"),
            Self::Reset(address) => write!(f, "connections of {address} are reset"),
            Self::ResetSome(choice) => write!(f, "some connection is reset ({choice})"),
            Self::Refuse(address) => write!(f, "{address} refuses connections"),
            Self::RefuseSome(choice) => write!(f, "some listener refuses connections ({choice})"),
            Self::AcceptAgain(address) => write!(f, "{address} accepts connections again"),
            Self::FailAccepts(Some(code)) => {
                write!(f, "accepts fail: {}", io::Error::from_raw_os_error(*code))
            }
            Self::FailAccepts(None) => f.write_str("accepts succeed again"),
            Self::DescriptorsMax(Some(max)) => write!(f, "at most {max} sockets"),
            Self::DescriptorsMax(None) => f.write_str("sockets without limit"),
            Self::FailLookups(true) => f.write_str("lookups fail"),
            Self::FailLookups(false) => f.write_str("lookups succeed again"),
            Self::Lasting(fault, time) => write!(f, "{fault}, for {time:?}"),
        }
    }
}

/// The faults that are in force now.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) descriptors_max: Option<usize>,
    /// The error of each accept.
    accept_error: Option<Errno>,
    refused: BTreeSet<SocketAddr>,
    /// Each pair begins with the smaller address.
    partitions: BTreeSet<(IpAddr, IpAddr)>,
    isolated: BTreeSet<IpAddr>,
    vanished: BTreeSet<SocketAddr>,
    /// Connections with an end that has vanished, from one end to the other.
    vanished_ends: BTreeSet<(SocketAddr, SocketAddr)>,
}

impl Faults {
    pub(super) fn is_cut(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let ends = pair(from.ip(), to.ip());
        let is_isolated = ends.0 != ends.1
            && (self.isolated.contains(&ends.0) || self.isolated.contains(&ends.1));
        is_isolated
            || self.partitions.contains(&ends)
            || self.vanished.contains(&from)
            || self.vanished.contains(&to)
            || self.vanished_ends.contains(&(from, to))
            || self.vanished_ends.contains(&(to, from))
    }

    pub(super) fn refuses(&self, address: SocketAddr) -> bool {
        self.refused.contains(&address)
    }

    /// The error of an accept, whether a connection waits or not.
    pub(super) fn check_accept(&self) -> io::Result<()> {
        match self.accept_error {
            Some(error) if !is_of_one_connection(error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The error of an accept when a connection waits, which is lost by that.
    pub(super) fn check_accepted(&self) -> io::Result<()> {
        match self.accept_error {
            Some(error) if is_of_one_connection(error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl NetState {
    /// Makes a fault happen now.
    pub(super) fn strike(&mut self, fault: &Fault) {
        match *fault {
            Fault::Link(ref link) => self.wires.set_default_link(link.clone()),
            Fault::Partition(one, other) => {
                self.faults.partitions.insert(pair(one, other));
            }
            Fault::Heal(one, other) => {
                self.faults.partitions.remove(&pair(one, other));
            }
            Fault::Isolate(ip) => {
                self.faults.isolated.insert(ip.to_canonical());
            }
            Fault::Rejoin(ip) => {
                self.faults.isolated.remove(&ip.to_canonical());
            }
            Fault::HealAll => {
                let vanished = std::mem::take(&mut self.faults.vanished);
                let vanished_ends = std::mem::take(&mut self.faults.vanished_ends);
                self.faults = Faults { vanished, vanished_ends, ..Faults::default() };
                self.hosts.is_resolver_down = false;
            }
            Fault::Vanish(address) => {
                self.faults.vanished.insert(address);
            }
            Fault::Reset(address) => {
                self.reset_all(address);
            }
            Fault::Refuse(address) => {
                self.faults.refused.insert(address);
            }
            Fault::AcceptAgain(address) => {
                self.faults.refused.remove(&address);
            }
            Fault::FailAccepts(code) => {
                self.faults.accept_error = code.map(Errno::from_raw_os_error);
            }
            Fault::DescriptorsMax(max) => self.faults.descriptors_max = max,
            Fault::FailLookups(fail) => self.hosts.is_resolver_down = fail,
            Fault::PartitionSome(choice) => self.strike_chosen(|state| {
                state.some_ends(choice).map(|(one, other)| Fault::Partition(one.ip(), other.ip()))
            }),
            Fault::RefuseSome(choice) => {
                self.strike_chosen(|state| state.some_listener(choice).map(Fault::Refuse));
            }
            Fault::VanishSome(choice) => {
                self.faults.vanished_ends.extend(self.some_ends(choice));
            }
            Fault::ResetSome(choice) => {
                if let Some((one, other)) = self.some_ends(choice) {
                    self.reset_one((one, other));
                    self.reset_one((other, one));
                }
            }
            Fault::Lasting(ref fault, time) => {
                let fault = self.chosen(fault);
                self.strike(&fault);
                if let Some(end) = fault.end() {
                    self.after(time, move |state| state.strike_noted(&end));
                }
            }
        }
        self.arm_stalled();
    }

    /// As [`strike`](Self::strike), with a line in the trace.
    pub(super) fn strike_noted(&mut self, fault: &Fault) {
        straightline_sched::sim::trace(|| format!("fault: {fault}"));
        self.strike(fault);
    }

    fn strike_chosen(&mut self, choose: impl FnOnce(&Self) -> Option<Fault>) {
        if let Some(fault) = choose(self) {
            self.strike_noted(&fault);
        }
    }

    /// The fault itself, or the one that it chooses; if there is nothing to choose from, one that
    /// does nothing.
    fn chosen(&self, fault: &Fault) -> Fault {
        let chosen = match *fault {
            Fault::PartitionSome(choice) => {
                self.some_ends(choice).map(|(one, other)| Fault::Partition(one.ip(), other.ip()))
            }
            Fault::RefuseSome(choice) => self.some_listener(choice).map(Fault::Refuse),
            _ => None,
        };
        chosen.unwrap_or_else(|| fault.clone())
    }

    fn some_ends(&self, choice: u64) -> Option<(SocketAddr, SocketAddr)> {
        let index = index_of(choice, self.connections.len())?;
        self.connections.keys().nth(index).copied()
    }

    fn some_listener(&self, choice: u64) -> Option<SocketAddr> {
        let index = index_of(choice, self.listeners.len())?;
        self.listeners.keys().nth(index).copied()
    }
}

/// An index below `count`, which the number chooses.
fn index_of(choice: u64, count: usize) -> Option<usize> {
    usize::try_from(choice.checked_rem(count as u64)?).ok()
}

/// Errors that the kernel returns before it looks for a waiting connection: descriptors and memory
/// are missing. Every other error concerns the connection.
fn is_of_one_connection(error: Errno) -> bool {
    ![Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&error)
}

/// One more than the largest number of faults that are drawn. Arbitrary: enough for a history with
/// faults and time in between.
const FAULTS_MAX: u64 = 12;
