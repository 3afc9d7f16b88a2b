//! The handle on a simulation's network: what it does from now on.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim;

use super::fault::Fault;
use super::link::Link;
use super::state::{State, ordered};
use super::stream::End;

/// The network of the simulation that the caller is in.
///
/// Whatever is set holds from now on, for what is under way as well. A script of what happens when
/// is a fiber that sleeps and sets.
///
/// ```
/// use std::net::IpAddr;
/// use std::time::Duration;
/// use straightline_net::TcpStream;
/// use straightline_net::sim::network;
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     let (here, there): (IpAddr, IpAddr) =
///         ("127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
///     network().partition(here, there);
///     sched::spawn(move || {
///         sched::sleep(Duration::from_secs(10));
///         network().heal(here, there);
///     });
///     let refused = TcpStream::connect("10.0.0.1:80").unwrap_err(); // nobody listens
///     assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
///     assert!(sim::elapsed() > Duration::from_secs(10)); // but that was heard only then
/// });
/// ```
///
/// # Panics
///
/// Outside of a simulation.
#[track_caller]
pub fn network() -> Network {
    Network { state: State::current() }
}

/// What [`network`] returns; its example is there.
#[derive(Clone)]
pub struct Network {
    state: Rc<State>,
}

/// What a simulated network has carried, see [`Network::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// TCP connections that somebody began to open.
    pub connects: u64,
    /// Connections that were reset, by a fault or by an end.
    pub resets: u64,
    /// Bytes that arrived at the other end of a stream.
    pub bytes_delivered: u64,
    /// Faults that happened.
    pub faults: u64,
}

impl Network {
    /// How everything is carried, except between hosts of which
    /// [`set_link_between`](Self::set_link_between) says otherwise.
    pub fn set_link(&self, link: Link) {
        sim::note(|| format!("network: {link:?}"));
        self.state.link.replace(link);
    }

    /// What [`set_link`](Self::set_link) was given.
    pub fn link(&self) -> Link {
        self.state.link.borrow().clone()
    }

    /// How things are carried between those two.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::sim::{Link, network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || {
    ///     let (one, other) = ("10.0.0.1".parse().unwrap(), "10.9.0.1".parse().unwrap());
    ///     let ocean = Duration::from_millis(70)..=Duration::from_millis(75);
    ///     network().set_link_between(one, other, Link { latency: ocean, ..Link::default() });
    /// });
    /// ```
    pub fn set_link_between(&self, one: IpAddr, other: IpAddr, link: Link) {
        self.state.links.borrow_mut().insert(ordered(one, other), link);
    }

    /// Has `lookup_host` and `connect` find those addresses under that name. Known from the start
    /// is `localhost`.
    ///
    /// ```
    /// use straightline_net::{lookup_host, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || {
    ///     network().name("example.org", ["10.0.0.1".parse().unwrap()]);
    ///     let address = lookup_host("example.org:80")?.next().unwrap();
    ///     assert_eq!(address.to_string(), "10.0.0.1:80");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn name(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let addresses = addresses.into_iter().collect();
        self.state.names.borrow_mut().insert(name.to_lowercase(), addresses);
    }

    /// Whether looking up names fails, as when the resolver is not reached.
    pub fn fail_lookups(&self, fail: bool) {
        self.state.lookups_fail.set(fail);
    }

    /// Nothing gets from one of the two hosts to the other any more. Streams send again what is
    /// lost, later and later, and fail after a quarter of an hour.
    pub fn partition(&self, one: IpAddr, other: IpAddr) {
        sim::note(|| format!("network: partition of {one} and {other}"));
        self.state.partitions.borrow_mut().insert(ordered(one, other));
    }

    /// Ends a [`partition`](Self::partition).
    pub fn heal(&self, one: IpAddr, other: IpAddr) {
        sim::note(|| format!("network: {one} and {other} reach each other"));
        self.state.partitions.borrow_mut().remove(&ordered(one, other));
    }

    /// Nothing gets to that host from others, or from it, any more.
    pub fn isolate(&self, host: IpAddr) {
        sim::note(|| format!("network: {host} is isolated"));
        self.state.isolated.borrow_mut().insert(host);
    }

    /// Ends an [`isolate`](Self::isolate).
    pub fn join(&self, host: IpAddr) {
        sim::note(|| format!("network: {host} is reached again"));
        self.state.isolated.borrow_mut().remove(&host);
    }

    /// Ends every partition and isolation, and whatever else makes calls fail. Connections that
    /// [vanished](Self::vanish) stay so.
    pub fn heal_all(&self) {
        sim::note(|| "network: all is well".to_owned());
        let state = &self.state;
        state.partitions.take();
        state.isolated.take();
        state.refusing.take();
        state.accepts_fail.set(None);
        state.lookups_fail.set(false);
        state.descriptors_max.set(usize::MAX);
    }

    /// The machine at that end of a connection lost its power: nothing comes from that end any
    /// more, or reaches it, and nobody is told. Returns whether there is such an end.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::time::Duration;
    /// use straightline_net::{TcpListener, TcpStream, sim::network};
    /// use straightline_sched::{self as sched, sim};
    ///
    /// sim::run(7, || {
    ///     let listener = TcpListener::bind("10.0.0.1:80")?;
    ///     let client = TcpStream::connect("10.0.0.1:80")?;
    ///     let (mut stream, _) = listener.accept()?;
    ///     assert!(network().vanish(client.local_addr()?));
    ///     drop(client); // nobody hears of that
    ///     let read = sched::deadline(Duration::from_secs(3_600), || stream.read(&mut [0]));
    ///     assert!(read.is_err());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn vanish(&self, end: SocketAddr) -> bool {
        self.with_end(end, End::vanish)
    }

    /// Resets the connection that has an end at that address, for both ends. Returns whether there
    /// is one.
    pub fn reset(&self, end: SocketAddr) -> bool {
        self.with_end(end, End::break_off)
    }

    /// Whether connects to that address are refused, even if somebody listens there.
    pub fn refuse(&self, address: SocketAddr, refuse: bool) {
        sim::note(|| format!("network: {address} refuses: {refuse}"));
        let mut refusing = self.state.refusing.borrow_mut();
        if refuse {
            refusing.insert(address);
        } else {
            refusing.remove(&address);
        }
    }

    /// Has each accept of a connection that is there fail with that error of the system (such as
    /// `EMFILE`, 24), or no more. The connection stays where it is.
    ///
    /// # Panics
    ///
    /// If it is no error of the system.
    ///
    /// ```
    /// use straightline_net::{TcpListener, TcpStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || {
    ///     let listener = TcpListener::bind("10.0.0.1:80")?;
    ///     let _client = TcpStream::connect("10.0.0.1:80")?;
    ///     network().fail_accepts(Some(std::io::Error::from_raw_os_error(24)));
    ///     assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(24));
    ///     network().fail_accepts(None);
    ///     listener.accept().map(drop)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn fail_accepts(&self, error: Option<io::Error>) {
        sim::note(|| format!("network: accepts fail: {error:?}"));
        let errno = error.map(|error| Errno::from_io_error(&error).expect("a system's error"));
        self.state.accepts_fail.set(errno);
    }

    /// How many sockets there may be: every further one fails with `EMFILE`.
    pub fn set_descriptors_max(&self, count: usize) {
        sim::note(|| format!("network: at most {count} descriptors"));
        self.state.descriptors_max.set(count);
    }

    /// How many sockets somebody has: connections, listeners, and those for datagrams.
    pub fn open_sockets(&self) -> usize {
        self.state.descriptors.get()
    }

    /// What happened so far.
    ///
    /// ```
    /// use straightline_net::{TcpStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || {
    ///     TcpStream::connect("10.0.0.1:80").unwrap_err();
    ///     assert_eq!(network().stats().connects, 1);
    /// });
    /// ```
    pub fn stats(&self) -> NetworkStats {
        self.state.stats.get()
    }

    /// Has the faults happen, each when so much time has passed. [`Fault::draw`] has an example.
    pub fn schedule(&self, faults: Vec<(Duration, Fault)>) {
        for (delay, fault) in faults {
            sim::after(delay, move || {
                sim::note(|| format!("fault: {fault}"));
                let network = network();
                network.state.count(|stats| stats.faults += 1);
                fault.happen(&network);
            });
        }
    }

    /// The TCP connections' ends that are open, by their addresses, in the order of their making.
    pub(super) fn ends(&self) -> Vec<SocketAddr> {
        let ends = self.state.ends.borrow();
        let open = ends.values().filter(|end| end.is_connected() && !end.is_local());
        open.map(|end| end.local.borrow().inet()).collect()
    }

    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        use super::address::Name;
        let listeners = self.state.listeners.borrow();
        let addresses: BTreeSet<SocketAddr> = listeners
            .values()
            .filter_map(|listener| match &listener.name {
                Name::Inet(address) => Some(*address),
                Name::Unix(_) => None,
            })
            .collect();
        addresses.into_iter().collect()
    }

    pub(super) fn hosts(&self) -> Vec<IpAddr> {
        let hosts: BTreeSet<IpAddr> =
            self.state.ends.borrow().values().filter_map(|end| end.local.borrow().ip()).collect();
        hosts.into_iter().collect()
    }

    fn with_end(&self, address: SocketAddr, act: impl FnOnce(&End)) -> bool {
        let ends = self.state.ends.borrow();
        let end = ends.values().find(|end| end.local.borrow().is(address)).cloned();
        drop(ends);
        end.inspect(|end| act(end)).is_some()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("link", &self.link()).finish_non_exhaustive()
    }
}
