//! How a test controls and inspects a simulation's network.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::fault::Fault;
use super::link::Link;
use super::table::{Counters, Net, NetState};

/// The network of the simulation that the caller is in. Each setting applies at once: a script of
/// events is a fiber that sleeps and sets, or a [`schedule`](Network::schedule).
///
/// Not a yield point, and neither is any of its methods.
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

/// A simulation's network, returned by [`network`], whose example shows this type.
#[derive(Clone)]
pub struct Network {
    net: Rc<Net>,
}

impl Network {
    /// Sets the properties of every link from now on, also of those that were set apart.
    pub fn set_link(&self, link: Link) {
        self.strike(&Fault::Link(link));
    }

    /// The properties of a link that was not set apart.
    pub fn link(&self) -> Link {
        self.with(|state| state.wires.default_link().clone())
    }

    /// Sets the properties of the link between two hosts from now on, in both directions.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_net::sim::{Link, network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(1, || {
    ///     let across_the_sea = Duration::from_millis(90)..=Duration::from_millis(110);
    ///     let link = network().link().with_latency(across_the_sea);
    ///     network().set_link_between([10, 0, 0, 1].into(), [10, 9, 0, 1].into(), link);
    /// });
    /// ```
    pub fn set_link_between(&self, one: IpAddr, other: IpAddr, link: Link) {
        self.with(|state| state.wires.set_link(one, other, link));
    }

    /// Gives a name to hosts, for [`lookup_host`](crate::lookup_host) and the calls that take
    /// names; with no address, removes the name. "localhost" is known from the beginning.
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

    /// With true, every lookup of a name fails from now on; with false, the lookups of known names
    /// succeed again.
    pub fn fail_lookups(&self, fail: bool) {
        self.strike(&Fault::FailLookups(fail));
    }

    /// Loses every packet between two hosts, also those that are on their way. TCP sends lost data
    /// again, at growing intervals. When the partition is healed, a connection goes on with the
    /// next attempt, unless it was abandoned after a quarter of an hour.
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

    /// Ends an [`isolate`](Self::isolate).
    pub fn rejoin(&self, ip: IpAddr) {
        self.strike(&Fault::Rejoin(ip));
    }

    /// Ends all partitions and isolations, and all settings that make calls fail. A vanished peer
    /// does not come back, and the links stay as they are.
    pub fn heal_all(&self) {
        self.strike(&Fault::HealAll);
    }

    /// The machine of the socket at that address loses its power: no packet comes from it again,
    /// and no peer is told. The peers have half-open connections. (The program on that machine goes
    /// on, since it is a part of the test, but its packets reach no other host.)
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
    ///     stream.write_all(b"is the client there?").unwrap();
    ///     let error = stream.read(&mut [0]).unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::TimedOut); // as the kernel's
    ///     assert!(sim::elapsed() > Duration::from_secs(900));
    /// });
    /// ```
    pub fn vanish(&self, address: SocketAddr) {
        self.strike(&Fault::Vanish(address));
    }

    /// Resets every TCP connection with an end at that address, as a firewall would: both ends get
    /// a RST at once. Returns how many ends were reset.
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

    /// Refuses connections to that address, although a socket listens there.
    pub fn refuse(&self, address: SocketAddr) {
        self.strike(&Fault::Refuse(address));
    }

    /// Ends a [`refuse`](Self::refuse).
    pub fn accept_again(&self, address: SocketAddr) {
        self.strike(&Fault::AcceptAgain(address));
    }

    /// From now on every accept fails with that error of the system; with `None` accepts succeed
    /// again.
    ///
    /// If descriptors or memory are missing (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), the
    /// connection goes on waiting in the queue; any other error removes it.
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

    /// How many sockets may be open; one more fails with `EMFILE`. An accept that fails so leaves
    /// the connection in the queue.
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

    /// Makes that fault happen now.
    pub fn inject(&self, fault: &Fault) {
        self.with(|state| {
            state.counters.faults += 1;
            state.strike_noted(fault);
        });
    }

    /// Makes each of the faults happen after its time from now, with a line in the trace.
    /// [`Fault`]'s example shows it.
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

    /// How many sockets the program has open now.
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

    /// The counters up to now.
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
