//! What a socket type of this crate holds in a simulation. Dropping it closes the socket.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;
use straightline_sched::sim::{self, Device, host};

use super::datagram::Datagrams;
use super::listener::{self, Listener};
use super::state::State;
use super::stream::End;
use crate::socket::Simulated;

/// A connection's end.
pub(crate) struct EndHandle {
    end: Rc<End>,
}

/// A listener, on a shard.
pub(crate) struct ListenerHandle {
    listener: Rc<Listener>,
    device: Rc<Device>,
}

/// A listener, on its way to a shard.
#[derive(Debug)]
pub(crate) struct BoundListener {
    number: u64,
    address: Option<SocketAddr>,
}

/// A socket for datagrams.
pub(crate) struct DatagramHandle {
    socket: Rc<Datagrams>,
}

impl EndHandle {
    pub(crate) fn connect(to: SocketAddr) -> io::Result<Self> {
        listener::connect(host(), to).map(|end| Self { end })
    }

    pub(crate) fn connect_to(path: &Path) -> io::Result<Self> {
        listener::connect_to(path).map(|end| Self { end })
    }

    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        listener::pair().map(|(one, other)| (Self { end: one }, Self { end: other }))
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }
}

impl Simulated for EndHandle {
    fn device(&self) -> &Device {
        &self.end.device
    }
}

impl Simulated for ListenerHandle {
    fn device(&self) -> &Device {
        &self.device
    }
}

impl Simulated for DatagramHandle {
    fn device(&self) -> &Device {
        &self.socket.device
    }
}

impl Drop for EndHandle {
    fn drop(&mut self) {
        if !sim::is_simulated() {
            return; // its simulation is over
        }
        let state = State::current();
        let mine = state.ends.borrow().get(&self.end.number).cloned();
        if mine.is_some_and(|mine| Rc::ptr_eq(&mine, &self.end)) {
            self.end.close();
            state.give_descriptor();
        }
    }
}

impl ListenerHandle {
    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn accept(&self) -> io::Result<EndHandle> {
        self.listener.accept().map(|end| EndHandle { end })
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        if sim::is_simulated()
            && Listener::find(self.listener.number)
                .is_some_and(|mine| Rc::ptr_eq(&mine, &self.listener))
        {
            self.listener.remove_device(&self.device);
            self.listener.disown();
        }
    }
}

impl BoundListener {
    pub(crate) fn listen(
        address: SocketAddr,
        count: usize,
        backlog: i32,
        nodelay: bool,
    ) -> io::Result<Vec<Self>> {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        let mut group: Vec<Self> = Vec::with_capacity(count);
        for _ in 0..count {
            let address = group.first().and_then(|first| first.address).unwrap_or(address);
            let with = group.first().and_then(|first| first.address);
            let listener = Listener::listen(address, backlog, nodelay, count > 1, with)?;
            group.push(Self::of(&listener));
        }
        Ok(group)
    }

    pub(crate) fn listen_at(path: &Path) -> io::Result<Self> {
        Listener::listen_at(path).map(|listener| Self::of(&listener))
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.address.ok_or_else(|| Errno::NOTSOCK.into())
    }

    /// Another one on the same listener.
    pub(crate) fn share(&self) -> io::Result<Self> {
        let listener = Listener::find(self.number).ok_or(Errno::BADF)?;
        Ok(Self::of(&listener))
    }

    /// The listener, in the shard that it was brought to.
    pub(crate) fn open(self) -> io::Result<ListenerHandle> {
        let listener = Listener::find(self.number).ok_or(Errno::BADF)?;
        mem::forget(self); // the handle owns it from now on
        let device = listener.add_device();
        Ok(ListenerHandle { listener, device })
    }

    fn of(listener: &Listener) -> Self {
        listener.own();
        let address = match &listener.name {
            super::Name::Inet(address) => Some(*address),
            super::Name::Unix(_) => None,
        };
        Self { number: listener.number, address }
    }
}

impl Drop for BoundListener {
    fn drop(&mut self) {
        if sim::is_simulated()
            && let Some(listener) = Listener::find(self.number)
        {
            listener.disown();
        }
    }
}

impl DatagramHandle {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        Datagrams::bind(address, host()).map(|socket| Self { socket })
    }

    pub(crate) fn socket(&self) -> &Datagrams {
        &self.socket
    }
}

impl Drop for DatagramHandle {
    fn drop(&mut self) {
        if !sim::is_simulated() {
            return;
        }
        let mine = State::current().datagrams.borrow().get(&self.socket.number).cloned();
        if mine.is_some_and(|mine| Rc::ptr_eq(&mine, &self.socket)) {
            self.socket.close();
        }
    }
}
