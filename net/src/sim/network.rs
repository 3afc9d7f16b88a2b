//! What a test sets and asks of a simulation's network.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::fault::Fault;
use super::link::Link;
use super::table::{Counters, Net, NetState};

/// The network of the simulation that the caller is in. Everything is set at once: a script of what
/// happens when is a fiber that sleeps and sets, or a [`schedule`](Network::schedule).
///
/// Not a yield point, and neither is anything that it has.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use std::io::{ErrorKind, Write};
/// use std::net::IpAddr;
/// use std::time::Duration;
/// use straightline_net::sim::{network, on_host};
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(1, || {
///     let (server, client): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
///     let mut stream = on_host(client, || TcpStream::connect("10.0.0.1:80")).unwrap();
///     network().partition(server, client);
///     sched::spawn(move || {
///         sched::sleep(Duration::from_secs(10));
///         network().heal(server, client);
///     });
///     stream.write_all(b"late, but whole").unwrap();
///     let mut received = [0; 15];
///     std::io::Read::read_exact(&mut listener.accept().unwrap().0, &mut received).unwrap();
///     assert!(sim::elapsed() >= Duration::from_secs(10));
/// });
/// ```
#[track_caller]
pub fn network() -> Network {
    Network { net: Net::current() }
}

/// A simulation's network; got from [`network`], whose example is this type's.
#[derive(Clone)]
pub struct Network {
    net: Rc<Net>,
}

impl Network {
    /// What every way is like from now on, those included that were set apart.
    pub fn set_link(&self, link: Link) {
        self.strike(&Fault::Link(link));
    }

    /// What a way is like that was not set apart.
    pub fn link(&self) -> Link {
        self.with(|state| state.wires.default_link().clone())
    }

    /// What the way between two hosts is like from now on, in both directions.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::sim::{Link, network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let across_the_sea = Duration::from_millis(90)..=Duration::from_millis(110);
    ///     let link = Link { latency: across_the_sea, ..network().link() };
    ///     network().set_link_between([10, 0, 0, 1].into(), [10, 9, 0, 1].into(), link);
    /// });
    /// ```
    pub fn set_link_between(&self, one: IpAddr, other: IpAddr, link: Link) {
        self.with(|state| state.wires.set_link(one, other, link));
    }

    /// Gives a name to hosts, for [`lookup_host`](crate::lookup_host) and whoever takes names; with
    /// no address, takes it away. "localhost" is known from the beginning.
    ///
    /// ```
    /// use straightline_net::{lookup_host, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     network().name("db.example", [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
    ///     assert_eq!(lookup_host("db.example:5432").unwrap().len(), 2);
    ///     assert!(lookup_host("unknown.example:80").is_err());
    /// });
    /// ```
    pub fn name(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let addresses = addresses.into_iter().collect();
        self.with(|state| state.hosts.set_name(name, addresses));
    }

    /// From now on every lookup of a name fails, or none does that has an address.
    pub fn fail_lookups(&self, fail: bool) {
        self.strike(&Fault::FailLookups(fail));
    }

    /// Loses every packet between two hosts, those included that are on their way. TCP sends again
    /// what was lost, at growing intervals; when the partition is healed, a connection goes on with
    /// the next attempt, or has been given up after a quarter of an hour.
    pub fn partition(&self, one: IpAddr, other: IpAddr) {
        self.strike(&Fault::Partition(one, other));
    }

    /// Ends a partition.
    pub fn heal(&self, one: IpAddr, other: IpAddr) {
        self.strike(&Fault::Heal(one, other));
    }

    /// Loses every packet between that host and all others.
    pub fn isolate(&self, ip: IpAddr) {
        self.strike(&Fault::Isolate(ip));
    }

    /// Takes an [`isolate`](Self::isolate) back.
    pub fn rejoin(&self, ip: IpAddr) {
        self.strike(&Fault::Rejoin(ip));
    }

    /// Ends all partitions and isolations, and whatever else makes calls fail. What has vanished
    /// does not come back, and the links stay as they are.
    pub fn heal_all(&self) {
        self.strike(&Fault::HealAll);
    }

    /// The machine of the socket at that address lost its power: nothing ever comes from it again,
    /// and nobody is told. The peers have half-open connections. (What runs there goes on, since it
    /// is a part of the test, but speaks to nobody.)
    ///
    /// ```
    /// use std::io::{ErrorKind, Read, Write};
    /// use std::time::Duration;
    /// use straightline_net::{TcpListener, TcpStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
    ///     let client = TcpStream::connect("10.0.0.1:80").unwrap();
    ///     let mut stream = listener.accept().unwrap().0;
    ///     network().vanish(client.local_addr().unwrap());
    ///     stream.write_all(b"is anybody there?").unwrap();
    ///     let error = stream.read(&mut [0]).unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::TimedOut); // as the kernel's
    ///     assert!(sim::elapsed() > Duration::from_secs(900));
    /// });
    /// ```
    pub fn vanish(&self, address: SocketAddr) {
        self.strike(&Fault::Vanish(address));
    }

    /// Resets every TCP connection of which one end has that address, as a firewall would: both
    /// ends get a RST at once. Returns how many ends that were.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use straightline_net::{TcpListener, TcpStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
    ///     let mut client = TcpStream::connect("10.0.0.1:80").unwrap();
    ///     let stream = listener.accept().unwrap().0;
    ///     assert_eq!(network().reset(stream.local_addr().unwrap()), 2);
    ///     assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// });
    /// ```
    pub fn reset(&self, address: SocketAddr) -> usize {
        self.with(|state| state.reset_all(address))
    }

    /// Refuses connections to that address, though somebody listens there.
    pub fn refuse(&self, address: SocketAddr) {
        self.strike(&Fault::Refuse(address));
    }

    /// Takes a [`refuse`](Self::refuse) back.
    pub fn accept_again(&self, address: SocketAddr) {
        self.strike(&Fault::AcceptAgain(address));
    }

    /// From now on every accept fails with that error of the system; with `None` they succeed
    /// again.
    ///
    /// Where descriptors or memory are missing (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), who waits
    /// to be accepted goes on waiting; any other error takes him away.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use straightline_net::{TcpListener, TcpStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
    ///     let client = TcpStream::connect("10.0.0.1:80").unwrap();
    ///     let too_many_open_files = 24;
    ///     network().fail_accepts(Some(too_many_open_files));
    ///     let error = listener.accept().unwrap_err();
    ///     assert_eq!(error.raw_os_error(), Some(too_many_open_files));
    ///     network().fail_accepts(None);
    ///     assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    /// });
    /// ```
    pub fn fail_accepts(&self, raw_os_error: Option<i32>) {
        self.strike(&Fault::FailAccepts(raw_os_error));
    }

    /// How many sockets there may be; one more fails with `EMFILE`. An accept that fails so leaves
    /// the connection where it is.
    ///
    /// ```
    /// use straightline_net::{UdpSocket, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     network().set_descriptors_max(Some(1));
    ///     let _one = UdpSocket::bind("10.0.0.1:53").unwrap();
    ///     assert_eq!(UdpSocket::bind("10.0.0.1:54").unwrap_err().raw_os_error(), Some(24));
    /// });
    /// ```
    pub fn set_descriptors_max(&self, max: Option<usize>) {
        self.strike(&Fault::DescriptorsMax(max));
    }

    /// Has that fault happen now.
    pub fn inject(&self, fault: &Fault) {
        self.with(|state| {
            state.counters.faults += 1;
            state.strike_noted(fault);
        });
    }

    /// Has each of the faults happen when so much time has passed from now on, with a line in the
    /// trace. [`Fault`]'s example shows it.
    pub fn schedule(&self, faults: Vec<(Duration, Fault)>) {
        self.with(|state| {
            for (delay, fault) in faults {
                state.after(delay, move |state| {
                    state.counters.faults += 1;
                    state.strike_noted(&fault);
                });
            }
        });
    }

    /// How many sockets are open now: those that the program has, whatever they are connected to.
    ///
    /// ```
    /// use straightline_net::{UnixStream, sim::network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let pair = UnixStream::pair().unwrap();
    ///     assert_eq!(network().open_sockets(), 2);
    ///     drop(pair);
    ///     assert_eq!(network().open_sockets(), 0);
    /// });
    /// ```
    pub fn open_sockets(&self) -> usize {
        self.with(|state| state.open_count())
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        self.with(|state| state.counters)
    }

    fn strike(&self, fault: &Fault) {
        self.with(|state| state.strike_noted(fault));
    }

    fn with<R>(&self, act: impl FnOnce(&mut NetState) -> R) -> R {
        let over = |error: io::Error| panic!("straightline: {error}");
        self.net.with(act).unwrap_or_else(over)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
