//! The table of all sockets of a simulation, and of the addresses that they have.
//!
//! A socket is a key into the table, so no owners form a circle, and a handle can outlive its
//! simulation. What happens later is an event that looks the table up again, and then the socket,
//! which may be gone.
//!
//! A socket is *open* while the program has a handle for it. A socket that is not open has a
//! connection to bring to its end, or waits to be accepted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use slotmap::{SlotMap, new_key_type};
use straightline_sched::sim::{self, Device, Level, Random};

use super::fault::Faults;
use super::hosts::Hosts;
use super::listener::Listener;
use super::tcp::Tcp;
use super::udp::Udp;
use super::unix::{UnixEnd, UnixListener};
use super::wire::Wires;

new_key_type! {
    /// A socket's place in the table.
    pub(crate) struct SocketKey;
}

/// A simulation's network.
pub(crate) struct Net {
    state: RefCell<NetState>,
    /// The simulation has ended.
    over: Cell<bool>,
    /// The number of this network, to tell it from those of other simulations; it is never shown.
    number: u64,
}

pub(super) struct NetState {
    /// The network that owns this state.
    me: Weak<Net>,
    pub(super) sockets: SlotMap<SocketKey, SocketEntry>,
    /// By address; the listeners of a group share one.
    pub(super) listeners: BTreeMap<SocketAddr, Vec<SocketKey>>,
    /// By their own address and the peer's.
    pub(super) connections: BTreeMap<(SocketAddr, SocketAddr), SocketKey>,
    pub(super) datagram_sockets: BTreeMap<SocketAddr, SocketKey>,
    pub(super) paths: BTreeMap<PathBuf, SocketKey>,
    pub(super) wires: Wires,
    pub(super) hosts: Hosts,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    pub(super) random: Random,
    /// Where the search for a free port begins.
    next_port: u16,
}

pub(super) struct SocketEntry {
    /// Names it in traces and lists.
    pub(super) label: Rc<str>,
    /// The devices of its handles, with which the program waits.
    devices: Vec<Weak<Device>>,
    /// The directions that it is ready for.
    level: Level,
    /// How many handles the program has for it: more than one only for clones of a listener.
    handles: u32,
    pub(super) kind: SocketKind,
}

pub(super) enum SocketKind {
    Tcp(Box<Tcp>),
    TcpListener(Listener),
    Unix(UnixEnd),
    UnixListener(UnixListener),
    Udp(Box<Udp>),
}

/// The counters of a simulated network since its simulation began.
///
/// ```
/// use straightline_net::{TcpListener, TcpStream, sim::network};
/// use straightline_sched::sim;
///
/// sim::run(1, || {
///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
///     let client = TcpStream::connect("10.0.0.1:80").unwrap();
///     drop((client, listener.accept().unwrap()));
///     let counters = network().counters();
///     assert_eq!((counters.connected, counters.accepted, counters.closed), (1, 1, 2));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Streams that were connected, of TCP and of Unix sockets.
    pub connected: u64,
    /// Streams that were accepted.
    pub accepted: u64,
    /// Streams whose handle was dropped.
    pub closed: u64,
    /// TCP streams that a reset ended; each end counts.
    pub reset: u64,
    /// TCP streams that were given up because no packet came back.
    pub timed_out: u64,
    /// Bytes that were written to streams.
    pub bytes_written: u64,
    /// Bytes of streams that arrived at the other end.
    pub bytes_delivered: u64,
    /// Packets that were sent: pieces of TCP streams, TCP's other packets, and datagrams.
    pub packets_sent: u64,
    /// Packets that were lost.
    pub packets_lost: u64,
    /// Datagrams that arrived at a socket.
    pub datagrams_delivered: u64,
    /// Faults of a schedule that have happened.
    pub faults: u64,
}

impl Net {
    /// The network of the simulation that the caller is in.
    ///
    /// # Panics
    ///
    /// Outside of a simulation.
    #[track_caller]
    pub(crate) fn current() -> Rc<Self> {
        let net = sim::local(Self::new);
        let is_new = net.state.borrow().me.upgrade().is_none();
        if is_new {
            net.state.borrow_mut().me = Rc::downgrade(&net);
            let at_end = Rc::clone(&net);
            sim::on_end(move || at_end.end());
        }
        net
    }

    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let state = NetState {
            me: Weak::new(),
            sockets: SlotMap::with_key(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            datagram_sockets: BTreeMap::new(),
            paths: BTreeMap::new(),
            wires: Wires::default(),
            hosts: Hosts::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            random: sim::fork_random(),
            next_port: PORT_MIN,
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { state: RefCell::new(state), over: Cell::new(false), number }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Calls `act`, unless the simulation is over.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut NetState) -> R) -> io::Result<R> {
        if self.over.get() {
            return Err(io::Error::other("a socket of a simulation that is over"));
        }
        Ok(act(&mut self.state.borrow_mut()))
    }

    /// One of the program's handles is gone.
    pub(super) fn close(&self, key: SocketKey) {
        if !self.over.get() {
            self.state.borrow_mut().close(key);
        }
    }

    /// Ends the network; returns a line for each socket that is still open.
    fn end(&self) -> Vec<String> {
        self.over.set(true);
        let mut state = self.state.borrow_mut();
        let open = state.sockets.values().filter(|entry| entry.is_open());
        let leaks = open.map(|entry| format!("an open socket: {}", entry.label)).collect();
        state.sockets.clear();
        leaks
    }
}

impl NetState {
    /// Makes `event` happen later. It must look up the socket that it wants to change, which may be
    /// gone by then.
    pub(super) fn after(&self, delay: Duration, event: impl FnOnce(&mut Self) + 'static) {
        let me = self.me.clone();
        sim::after(delay, move || {
            if let Some(net) = me.upgrade() {
                let _ = net.with(event); // an error: the simulation is over
            }
        });
    }

    /// Adds a socket that is ready for nothing yet.
    pub(super) fn insert(&mut self, label: String, is_open: bool, kind: SocketKind) -> SocketKey {
        let (label, level, handles) = (label.into(), Level::default(), u32::from(is_open));
        self.sockets.insert(SocketEntry { label, devices: Vec::new(), level, handles, kind })
    }

    /// Makes the device with which a handle waits.
    pub(super) fn add_device(&mut self, key: SocketKey) -> Rc<Device> {
        let entry = &mut self.sockets[key];
        let device = Rc::new(Device::new(Rc::clone(&entry.label)));
        device.set_level(entry.level);
        entry.devices.push(Rc::downgrade(&device));
        device
    }

    /// The system's answer to one more socket.
    pub(super) fn check_descriptors(&self) -> io::Result<()> {
        let max = self.faults.descriptors_max;
        if max.is_some_and(|max| self.open_count() >= max) {
            return Err(Errno::MFILE.into());
        }
        Ok(())
    }

    pub(super) fn open_count(&self) -> usize {
        self.sockets.values().filter(|entry| entry.is_open()).count()
    }

    /// Sets what a socket is ready for; with an edge if that is news to its waiters.
    pub(super) fn set_level(&mut self, key: SocketKey, level: Level, edge: bool) {
        let Some(entry) = self.sockets.get_mut(key) else { return };
        entry.level = level;
        entry.devices.retain(|device| {
            let Some(device) = device.upgrade() else { return false };
            device.set_level(level);
            if edge {
                device.notify();
            }
            true
        });
    }

    /// A line of the trace, about that socket.
    pub(super) fn note(&self, key: SocketKey, text: impl FnOnce() -> String) {
        if let Some(entry) = self.sockets.get(key) {
            sim::trace(|| format!("{}: {}", entry.label, text()));
        }
    }

    fn close(&mut self, key: SocketKey) {
        let Some(entry) = self.sockets.get_mut(key) else { return };
        entry.handles -= 1;
        if entry.is_open() {
            return;
        }
        match entry.kind {
            SocketKind::Tcp(_) => self.close_tcp(key),
            SocketKind::TcpListener(_) => self.close_listener(key),
            SocketKind::Unix(_) => self.close_unix(key),
            SocketKind::UnixListener(_) => self.close_unix_listener(key),
            SocketKind::Udp(_) => self.close_udp(key),
        }
    }

    /// The address itself; if its port is 0, the same address with a free port.
    pub(super) fn with_port(
        &mut self,
        address: SocketAddr,
        is_free: impl Fn(&Self, SocketAddr) -> bool,
    ) -> io::Result<SocketAddr> {
        if address.port() != 0 {
            return Ok(address);
        }
        for _ in PORT_MIN..=u16::MAX {
            let candidate = SocketAddr::new(address.ip(), self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(PORT_MIN);
            if is_free(self, candidate) {
                return Ok(candidate);
            }
        }
        Err(Errno::ADDRNOTAVAIL.into())
    }
}

impl SocketEntry {
    pub(super) fn is_open(&self) -> bool {
        self.handles > 0
    }

    /// The program has one more handle, or the first.
    pub(super) fn open(&mut self) {
        self.handles += 1;
    }
}

/// Whether two sockets cannot be bound to these addresses at the same time.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    // `[::]` takes IPv4 as well.
    let is_wide =
        |wide: IpAddr, other: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    one.port() == other.port()
        && (one_ip == other_ip || is_wide(one_ip, other_ip) || is_wide(other_ip, one_ip))
}

/// The wildcard address of the family, with the same port.
pub(super) fn unspecified(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, address.port())
}

/// Where ephemeral ports begin (RFC 6335, section 6).
const PORT_MIN: u16 = 49_152;
