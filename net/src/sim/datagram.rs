//! A simulated UDP socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use rustix::io::Errno;
use straightline_sched::sim::{self, Device, Level};

use super::address::Name;
use super::state::{State, covers, source_ip};

pub(crate) struct Datagrams {
    pub(super) number: u64,
    pub(super) local: RefCell<SocketAddr>,
    peer: Cell<Option<SocketAddr>>,
    pub(super) device: Device,
    inbox: RefCell<VecDeque<(SocketAddr, Vec<u8>)>>,
    inbox_bytes: Cell<usize>,
    error: Cell<Option<Errno>>,
    host: Option<IpAddr>,
    pub(crate) broadcast: Cell<bool>,
    pub(crate) ttl: Cell<u32>,
}

impl Datagrams {
    pub(super) fn bind(address: SocketAddr, host: Option<IpAddr>) -> io::Result<Rc<Self>> {
        let state = State::current();
        let is_taken = |address: SocketAddr| {
            state.datagrams.borrow().values().any(|other| {
                let bound = *other.local.borrow();
                covers(bound, address) || covers(address, bound)
            })
        };
        let address = state.bindable(address, is_taken)?;
        state.take_descriptor()?;
        let socket = Rc::new(Self {
            number: state.next_number(),
            local: RefCell::new(address),
            peer: Cell::new(None),
            device: Device::new(format!("udp {address}")),
            inbox: RefCell::default(),
            inbox_bytes: Cell::new(0),
            error: Cell::new(None),
            host,
            broadcast: Cell::new(false),
            ttl: Cell::new(64),
        });
        socket.device.set_level(socket.level());
        state.datagrams.borrow_mut().insert(socket.number, Rc::clone(&socket));
        Ok(socket)
    }

    pub(super) fn close(&self) {
        let state = State::current();
        state.datagrams.borrow_mut().remove(&self.number);
        state.give_descriptor();
    }

    pub(crate) fn local(&self) -> SocketAddr {
        *self.local.borrow()
    }

    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.peer.get().ok_or_else(|| Errno::NOTCONN.into())
    }

    pub(crate) fn connect(&self, peer: SocketAddr) {
        let mut local = self.local.borrow_mut();
        if local.ip().is_unspecified() {
            local.set_ip(source_ip(self.host, peer.ip()));
        }
        self.peer.set(Some(peer));
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            self.device.set_level(self.level());
            return Err(error.into());
        }
        let Some(peer) = self.peer.get() else { return Err(Errno::DESTADDRREQ.into()) };
        self.send_to(bytes, peer)
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            self.device.set_level(self.level());
            return Err(error.into());
        }
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(Errno::MSGSIZE.into());
        }
        let state = State::current();
        let mut from = self.local();
        if from.ip().is_unspecified() {
            from.set_ip(source_ip(self.host, to.ip()));
        }
        let (name, to_name) = (Name::Inet(from), Name::Inet(to));
        let link = state.link_between(&name, &to_name);
        let copies = {
            let mut random = state.random.borrow_mut();
            if random.chance(link.datagram_loss_chance) {
                0
            } else {
                1 + u32::from(random.chance(link.datagram_copy_chance))
            }
        };
        sim::note(|| format!("udp {from} > {to}: {} bytes sent, {copies} times", bytes.len()));
        for _ in 0..copies {
            let latency = state.latency(&name, &to_name);
            let (number, data) = (self.number, bytes.to_vec());
            sim::after(latency, move || arrive(number, from, to, data));
        }
        Ok(bytes.len())
    }

    pub(crate) fn receive(
        &self,
        buffer: &mut [u8],
        takes: bool,
    ) -> io::Result<(usize, SocketAddr)> {
        if let Some(error) = self.error.take() {
            self.device.set_level(self.level());
            return Err(error.into());
        }
        let mut inbox = self.inbox.borrow_mut();
        let Some((from, data)) = inbox.front() else { return Err(Errno::AGAIN.into()) };
        let (from, count) = (*from, data.len().min(buffer.len()));
        buffer[..count].copy_from_slice(&data[..count]);
        if takes {
            self.inbox_bytes.set(self.inbox_bytes.get() - data.len());
            inbox.pop_front();
            drop(inbox);
            sim::note(|| format!("udp {}: {count} bytes from {from} read", self.local()));
            self.device.set_level(self.level());
        }
        Ok((count, from))
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let error = self.error.take();
        self.device.set_level(self.level());
        error.map(io::Error::from)
    }

    fn level(&self) -> Level {
        let error = self.error.get().is_some();
        let readable = !self.inbox.borrow().is_empty() || error;
        Level { readable, writable: true, read_closed: false }
    }

    fn changed(&self) {
        self.device.set_level(self.level());
        self.device.notify();
    }

    fn hears(&self, from: SocketAddr, to: SocketAddr) -> bool {
        covers(self.local(), to) && self.peer.get().is_none_or(|peer| peer == from)
    }
}

fn arrive(sender: u64, from: SocketAddr, to: SocketAddr, data: Vec<u8>) {
    let state = State::current();
    if state.is_cut(&Name::Inet(from), &Name::Inet(to)) {
        return;
    }
    let receivers = state.datagrams.borrow();
    let Some(receiver) = receivers.values().find(|socket| socket.hears(from, to)).cloned() else {
        drop(receivers);
        let latency = state.latency(&Name::Inet(to), &Name::Inet(from));
        sim::after(latency, move || refuse(sender, to));
        return;
    };
    drop(receivers);
    let link = state.link_between(&Name::Inet(from), &Name::Inet(to));
    let bytes = receiver.inbox_bytes.get() + data.len();
    if bytes > link.receive_buffer_bytes.max(DATAGRAM_BYTES_MAX) {
        return; // no room: lost
    }
    receiver.inbox_bytes.set(bytes);
    receiver.inbox.borrow_mut().push_back((from, data));
    receiver.changed();
}

/// Nobody was there: a connected sender is told with its next call.
fn refuse(sender: u64, to: SocketAddr) {
    let socket = State::current().datagrams.borrow().get(&sender).cloned();
    if let Some(socket) = socket
        && socket.peer.get() == Some(to)
    {
        socket.error.set(Some(Errno::CONNREFUSED));
        socket.changed();
    }
}

/// What an IPv4 packet carries beside its headers.
const DATAGRAM_BYTES_MAX: usize = 65_507;
