//! What can go wrong in a network, as data: to be drawn from a seed, scheduled, and left out.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::{self, Random};

use super::link::Link;
use super::network::Network;

/// One thing that goes wrong; [`Network::schedule`] has it happen.
///
/// Which connection or host it concerns is a number, which chooses among those that are there when
/// it happens. Those with a duration end by themselves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A connection is reset.
    Reset(u64),
    /// The machine at one end of a connection vanishes.
    Vanish(u64),
    /// Two hosts do not reach each other.
    Partition(u64, Duration),
    /// A host reaches nobody else.
    Isolate(u64, Duration),
    /// A listener's address refuses connects.
    Refuse(u64, Duration),
    /// Accepts fail with `EMFILE`.
    FailAccepts(Duration),
    /// There are no descriptors for further sockets.
    NoDescriptors(Duration),
    /// Names are not resolved.
    FailLookups(Duration),
    /// The network carries things in another way.
    Link(Box<Link>, Duration),
}

impl Fault {
    /// Some faults, drawn from the seed, each with the time when it happens. All is well again
    /// after `horizon`, but for connections that were reset or have vanished.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::sim::{Fault, network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || {
    ///     let faults = sim::plan(|random| Fault::draw(random, Duration::from_secs(60)));
    ///     network().schedule(faults);
    /// });
    /// ```
    pub fn draw(random: &mut Random, horizon: Duration) -> Vec<(Duration, Self)> {
        let count = random.index(FAULTS_MAX + 1);
        let mut faults: Vec<_> = (0..count).map(|_| Self::draw_one(random, horizon)).collect();
        faults.sort_by_key(|(at, _)| *at);
        faults
    }

    fn draw_one(random: &mut Random, horizon: Duration) -> (Duration, Self) {
        let at = random.duration(Duration::ZERO..=horizon);
        // As often short as long.
        let longest = horizon.saturating_sub(at) / [1, 10, 100, 1_000][random.index(4)];
        let (whom, time) = (random.u64(), random.duration(Duration::ZERO..=longest));
        let fault = match random.index(12) {
            0..=2 => Self::Reset(whom),
            3 => Self::Vanish(whom),
            4 | 5 => Self::Partition(whom, time),
            6 => Self::Isolate(whom, time),
            7 => Self::Refuse(whom, time),
            8 => Self::FailAccepts(time),
            9 => Self::NoDescriptors(time),
            10 => Self::FailLookups(time),
            _ => Self::Link(Box::new(Link::draw(random)), time),
        };
        (at, fault)
    }

    /// Has it happen now.
    pub(super) fn happen(&self, network: &Network) {
        match self {
            Self::Reset(whom) => {
                if let Some(end) = chosen(&network.ends(), *whom) {
                    network.reset(end);
                }
            }
            Self::Vanish(whom) => {
                if let Some(end) = chosen(&network.ends(), *whom) {
                    network.vanish(end);
                }
            }
            Self::Partition(whom, time) => {
                let hosts = network.hosts();
                let one = chosen(&hosts, *whom);
                let other = chosen(&hosts, whom / hosts.len().max(1) as u64);
                if let (Some(one), Some(other)) = (one, other) {
                    network.partition(one, other);
                    later(*time, network, move |network| network.heal(one, other));
                }
            }
            Self::Isolate(whom, time) => {
                if let Some(host) = chosen(&network.hosts(), *whom) {
                    network.isolate(host);
                    later(*time, network, move |network| network.join(host));
                }
            }
            Self::Refuse(whom, time) => {
                if let Some(address) = chosen(&network.listening(), *whom) {
                    network.refuse(address, true);
                    later(*time, network, move |network| network.refuse(address, false));
                }
            }
            Self::FailAccepts(time) => {
                network.fail_accepts(Some(io::Error::from(Errno::MFILE)));
                later(*time, network, |network| network.fail_accepts(None));
            }
            Self::NoDescriptors(time) => {
                network.set_descriptors_max(0);
                later(*time, network, |network| network.set_descriptors_max(usize::MAX));
            }
            Self::FailLookups(time) => {
                network.fail_lookups(true);
                later(*time, network, |network| network.fail_lookups(false));
            }
            Self::Link(link, time) => {
                let before = network.link();
                network.set_link((**link).clone());
                later(*time, network, move |network| network.set_link(before));
            }
        }
    }
}

fn chosen<T: Copy>(list: &[T], whom: u64) -> Option<T> {
    let count = list.len() as u64;
    let index = usize::try_from(whom.checked_rem(count)?).ok()?;
    list.get(index).copied()
}

fn later(time: Duration, network: &Network, act: impl FnOnce(&Network) + 'static) {
    let network = network.clone();
    sim::after(time, move || act(&network));
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(_) => f.write_str("a connection is reset"),
            Self::Vanish(_) => f.write_str("one end of a connection vanishes"),
            Self::Partition(_, time) => write!(f, "a partition for {time:?}"),
            Self::Isolate(_, time) => write!(f, "a host is isolated for {time:?}"),
            Self::Refuse(_, time) => write!(f, "an address refuses for {time:?}"),
            Self::FailAccepts(time) => write!(f, "accepts fail for {time:?}"),
            Self::NoDescriptors(time) => write!(f, "no descriptors for {time:?}"),
            Self::FailLookups(time) => write!(f, "lookups fail for {time:?}"),
            Self::Link(_, time) => write!(f, "another network for {time:?}"),
        }
    }
}

/// How many faults a drawn list has at most.
const FAULTS_MAX: usize = 20;
