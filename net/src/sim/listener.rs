//! A simulated listener, and how a connection comes about.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use straightline_sched::sim::{self, Device, Level};

use super::address::Name;
use super::state::{State, covers, source_ip};
use super::stream::End;

pub(crate) struct Listener {
    pub(super) number: u64,
    pub(crate) name: Name,
    /// One for each handle: each is watched by a shard of its own.
    devices: RefCell<Vec<Rc<Device>>>,
    backlog: usize,
    nodelay: bool,
    /// Others may listen on the same address.
    shares: bool,
    queue: RefCell<VecDeque<Rc<End>>>,
    /// How many have it; the last one closes it.
    owners: Cell<usize>,
}

impl Listener {
    pub(super) fn listen(
        address: SocketAddr,
        backlog: usize,
        nodelay: bool,
        shares: bool,
        with: Option<SocketAddr>,
    ) -> io::Result<Rc<Self>> {
        let state = State::current();
        let is_taken = |address: SocketAddr| {
            state.listeners.borrow().values().any(|other| match &other.name {
                Name::Inet(bound) => {
                    let same = covers(*bound, address) || covers(address, *bound);
                    same && !(shares && other.shares && with == Some(*bound))
                }
                Name::Unix(_) => false,
            })
        };
        let address = state.bindable(address, is_taken)?;
        Self::enter(&state, Name::Inet(address), backlog, nodelay, shares)
    }

    pub(super) fn listen_at(path: &Path) -> io::Result<Rc<Self>> {
        let state = State::current();
        let name = Name::Unix(Some(path.to_owned()));
        if state.listeners.borrow().values().any(|other| other.name == name) {
            return Err(Errno::ADDRINUSE.into());
        }
        Self::enter(&state, name, UNIX_BACKLOG, false, false)
    }

    fn enter(
        state: &State,
        name: Name,
        backlog: usize,
        nodelay: bool,
        shares: bool,
    ) -> io::Result<Rc<Self>> {
        state.take_descriptor()?;
        sim::note(|| format!("{name}: listens"));
        let listener = Rc::new(Self {
            number: state.next_number(),
            devices: RefCell::default(),
            name,
            backlog,
            nodelay,
            shares,
            queue: RefCell::default(),
            owners: Cell::new(0),
        });
        state.listeners.borrow_mut().insert(listener.number, Rc::clone(&listener));
        Ok(listener)
    }

    pub(super) fn find(number: u64) -> Option<Rc<Self>> {
        State::current().listeners.borrow().get(&number).cloned()
    }

    pub(super) fn own(&self) {
        self.owners.update(|count| count + 1);
    }

    pub(super) fn disown(&self) {
        self.owners.update(|count| count - 1);
        if self.owners.get() == 0 {
            let state = State::current();
            state.listeners.borrow_mut().remove(&self.number);
            state.give_descriptor();
            sim::note(|| format!("{}: listens no more", self.name));
            // Who was not accepted is sent away.
            for end in self.queue.take() {
                if let Some(peer) = end.peer() {
                    peer.receive_reset(None);
                }
                end.close();
            }
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Rc<End>> {
        let state = State::current();
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            return Err(Errno::AGAIN.into());
        }
        if let Some(error) = state.accepts_fail.get() {
            return Err(error.into());
        }
        state.take_descriptor()?;
        let Some(end) = queue.pop_front() else { return Err(Errno::AGAIN.into()) };
        drop(queue);
        self.set_levels();
        end.nodelay.set(self.nodelay);
        sim::note(|| format!("{}: accepts {}", self.name, end.remote.borrow()));
        Ok(end)
    }

    fn has_room(&self) -> bool {
        // One more than the backlog, as Linux counts.
        self.queue.borrow().len() <= self.backlog
    }

    fn push(&self, end: &Rc<End>) {
        self.queue.borrow_mut().push_back(Rc::clone(end));
        self.set_levels();
        self.devices.borrow().iter().for_each(|device| device.notify());
    }

    fn set_levels(&self) {
        let level = Level { readable: !self.queue.borrow().is_empty(), ..Level::default() };
        self.devices.borrow().iter().for_each(|device| device.set_level(level));
    }

    /// What a shard watches it by.
    pub(super) fn add_device(&self) -> Rc<Device> {
        let device = Rc::new(Device::new(format!("listener {}", self.name)));
        self.devices.borrow_mut().push(Rc::clone(&device));
        self.set_levels();
        device
    }

    pub(super) fn remove_device(&self, device: &Rc<Device>) {
        self.devices.borrow_mut().retain(|other| !Rc::ptr_eq(other, device));
    }
}

/// Begins to connect; the end becomes writable when that is decided.
pub(super) fn connect(host: Option<IpAddr>, to: SocketAddr) -> io::Result<Rc<End>> {
    let state = State::current();
    state.take_descriptor()?;
    // Nobody is at no address in particular: this host is meant.
    let to_ip = if to.ip().is_unspecified() { source_ip(host, to.ip()) } else { to.ip() };
    let to = SocketAddr::new(to_ip, to.port());
    let from = SocketAddr::new(source_ip(host, to.ip()), 0);
    let is_taken = |address: SocketAddr| {
        state.ends.borrow().values().any(|end| end.local.borrow().is(address))
    };
    let from = state.bindable(from, is_taken).inspect_err(|_| state.give_descriptor())?;
    let end = End::new(&state, "tcp", Name::Inet(from), Name::Inet(to));
    sim::note(|| format!("{end}: connects"));
    state.count(|stats| stats.connects += 1);
    knock(&state, &end, SYN_PAUSE);
    Ok(end)
}

/// Sends a SYN, and another after a pause if nothing comes of it.
fn knock(state: &Rc<State>, end: &Rc<End>, pause: Duration) {
    let latency = state.latency(&end.local.borrow(), &end.remote.borrow());
    let (state, end) = (Rc::clone(state), Rc::clone(end));
    sim::after(latency, move || {
        if end.is_closed() {
            return;
        }
        let to = end.remote.borrow().inet();
        let is_cut = end.is_cut_off_alone();
        let listener = if is_cut { None } else { listener_at(&state, to) };
        match listener {
            Some(listener) if listener.has_room() => shake_hands(&state, &end, &listener),
            None if !is_cut => {
                let latency = state.latency(&end.remote.borrow(), &end.local.borrow());
                sim::after(latency, move || end.receive_reset(Some(Errno::CONNREFUSED)));
            }
            _ if pause > SYN_PAUSE_MAX => end.receive_reset(Some(Errno::TIMEDOUT)),
            _ => {
                sim::note(|| format!("{end}: no answer; tries again in {pause:?}"));
                sim::after(pause, move || knock(&state, &end, pause * 2));
            }
        }
    });
}

fn shake_hands(state: &Rc<State>, end: &Rc<End>, listener: &Rc<Listener>) {
    let (local, remote) = (end.remote.borrow().clone(), end.local.borrow().clone());
    let there = state.latency(&local, &remote);
    let back = there + state.latency(&remote, &local);
    let peer = End::new(state, "tcp", local, remote);
    peer.join(end);
    peer.open();
    let (opened, other) = (Rc::clone(end), Rc::clone(&peer));
    sim::after(there, move || {
        if opened.is_closed() {
            other.receive_reset(None); // it went away meanwhile
        } else {
            opened.open();
        }
    });
    let listener = listener.number;
    sim::after(back, move || {
        if let Some(listener) = Listener::find(listener) {
            return listener.push(&peer);
        }
        if let Some(client) = peer.peer() {
            client.receive_reset(None);
        }
        peer.close();
    });
}

/// Who listens there; of several that share the address, the seed decides.
fn listener_at(state: &State, address: SocketAddr) -> Option<Rc<Listener>> {
    if state.refusing.borrow().contains(&address) {
        return None;
    }
    let listeners = state.listeners.borrow();
    let there = |bound: &&Rc<Listener>| match &bound.name {
        Name::Inet(bound) => covers(*bound, address),
        Name::Unix(_) => false,
    };
    let all: Vec<&Rc<Listener>> = listeners.values().filter(there).collect();
    if all.is_empty() {
        return None;
    }
    let index = if all.len() == 1 { 0 } else { state.random.borrow_mut().index(all.len()) };
    Some(Rc::clone(all[index]))
}

/// Connects to a path, which is decided at once.
pub(super) fn connect_to(path: &Path) -> io::Result<Rc<End>> {
    let state = State::current();
    let name = Name::Unix(Some(path.to_owned()));
    let listeners = state.listeners.borrow();
    let Some(listener) = listeners.values().find(|listener| listener.name == name) else {
        return Err(Errno::NOENT.into());
    };
    if !listener.has_room() {
        return Err(Errno::AGAIN.into());
    }
    state.take_descriptor()?;
    let end = End::new(&state, "unix", Name::Unix(None), name.clone());
    let peer = End::new(&state, "unix", name, Name::Unix(None));
    end.join(&peer);
    end.open();
    peer.open();
    sim::note(|| format!("{end}: connects"));
    listener.push(&peer);
    Ok(end)
}

/// Two ends of one connection.
pub(super) fn pair() -> io::Result<(Rc<End>, Rc<End>)> {
    let state = State::current();
    state.take_descriptor()?;
    state.take_descriptor().inspect_err(|_| state.give_descriptor())?;
    let one = End::new(&state, "unix", Name::Unix(None), Name::Unix(None));
    let other = End::new(&state, "unix", Name::Unix(None), Name::Unix(None));
    one.join(&other);
    one.open();
    other.open();
    Ok((one, other))
}

/// Linux tries again after 1, 2, 4, ... seconds (`net.ipv4.tcp_syn_retries`: six times), and gives
/// up after 127.
const SYN_PAUSE: Duration = Duration::from_secs(1);
const SYN_PAUSE_MAX: Duration = Duration::from_secs(64);

/// What std gives a Unix listener.
const UNIX_BACKLOG: usize = 128;
