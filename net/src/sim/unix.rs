//! Unix sockets: two ends on one host, with no network in between.
//!
//! They behave as on Linux: written bytes are at the other end at once, a connect is decided at
//! once, and a close with unread bytes is a reset for the peer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use straightline_sched::sim::Level;

use super::handle::{Bound, Handle};
use super::table::{Net, NetState, SocketKey, SocketKind};

/// One end of a connection.
pub(super) struct UnixEnd {
    /// The other end, until that is closed.
    peer: Option<SocketKey>,
    /// Bytes that the peer has written and that were not read.
    buffer: VecDeque<u8>,
    /// How many bytes the peer may write until some are read.
    capacity: usize,
    /// No byte comes any more: this end or the peer was shut down.
    read_shut: bool,
    write_shut: bool,
    error: Option<Errno>,
    local: Option<PathBuf>,
    remote: Option<PathBuf>,
    /// It was not accepted yet.
    is_unaccepted: bool,
}

pub(super) struct UnixListener {
    path: PathBuf,
    queue: VecDeque<SocketKey>,
}

impl Handle {
    pub(crate) fn listen_unix(path: &Path) -> io::Result<Self> {
        let net = Net::current();
        let key = net.with(|state| state.listen_unix(path))??;
        Self::of(&net, key)
    }

    /// `WouldBlock` if too many connections wait to be accepted.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Self> {
        let net = Net::current();
        let key = net.with(|state| state.connect_unix(path))??;
        Self::of(&net, key)
    }

    pub(crate) fn unix_pair() -> io::Result<(Self, Self)> {
        let net = Net::current();
        let (one, other) = net.with(NetState::unix_pair)??;
        Ok((Self::of(&net, one)?, Self::of(&net, other)?))
    }

    pub(crate) fn accept_unix(&self) -> io::Result<Self> {
        let key = self.with(NetState::accept_unix)??;
        self.another(key)
    }

    /// The path of this end; `None` if it has none.
    pub(crate) fn local_path(&self) -> io::Result<Option<PathBuf>> {
        self.with(NetState::unix_path)?
    }

    /// The path of the other end; `None` if it has none.
    pub(crate) fn peer_path(&self) -> io::Result<Option<PathBuf>> {
        self.with(|state, key| match &state.sockets[key].kind {
            SocketKind::Unix(end) => Ok(end.remote.clone()),
            _ => Err(Errno::NOTCONN.into()),
        })?
    }
}

impl Bound {
    pub(crate) fn path(&self) -> io::Result<Option<PathBuf>> {
        self.with(|net| net.with(|state| state.unix_path(self.key))?)?
    }
}

impl UnixEnd {
    fn new(capacity: usize) -> Self {
        Self {
            peer: None,
            buffer: VecDeque::new(),
            capacity: capacity.max(1),
            read_shut: false,
            write_shut: false,
            error: None,
            local: None,
            remote: None,
            is_unaccepted: false,
        }
    }

    fn room(&self) -> usize {
        self.capacity - self.buffer.len()
    }

    /// Whether there is so much room that a waiting writer is to be woken: three quarters, as on
    /// Linux.
    fn has_ample_room(&self) -> bool {
        self.buffer.len() * 4 <= self.capacity
    }
}

impl NetState {
    fn listen_unix(&mut self, path: &Path) -> io::Result<SocketKey> {
        self.check_descriptors()?;
        if self.paths.contains_key(path) {
            return Err(Errno::ADDRINUSE.into());
        }
        let listener = UnixListener { path: path.to_owned(), queue: VecDeque::new() };
        let label = format!("unix listener {}", path.display());
        let key = self.insert(label, true, SocketKind::UnixListener(listener));
        self.paths.insert(path.to_owned(), key);
        self.note(key, || "listens".to_owned());
        Ok(key)
    }

    fn connect_unix(&mut self, path: &Path) -> io::Result<SocketKey> {
        self.check_descriptors()?;
        let listener = *self.paths.get(path).ok_or(Errno::NOENT)?;
        if self.unix_listener(listener).queue.len() > BACKLOG {
            return Err(Errno::AGAIN.into());
        }
        let label = format!("unix > {}", path.display());
        let key = self.insert_unix(label, true);
        let accepted = self.insert_unix(format!("unix {} >", path.display()), false);
        self.join(key, accepted);
        self.end_mut(key).remote = Some(path.to_owned());
        let end = self.end_mut(accepted);
        end.local = Some(path.to_owned());
        end.is_unaccepted = true;
        self.unix_listener(listener).queue.push_back(accepted);
        self.counters.connected += 1;
        self.note(key, || "is connected".to_owned());
        self.update_unix_listener(listener, true);
        Ok(key)
    }

    fn unix_pair(&mut self) -> io::Result<(SocketKey, SocketKey)> {
        self.check_descriptors()?;
        let one = self.insert_unix("unix pair".to_owned(), true);
        if let Err(error) = self.check_descriptors() {
            self.sockets.remove(one);
            return Err(error);
        }
        let other = self.insert_unix("unix pair".to_owned(), true);
        self.join(one, other);
        Ok((one, other))
    }

    fn accept_unix(&mut self, key: SocketKey) -> io::Result<SocketKey> {
        self.check_descriptors()?;
        self.faults.check_accept()?;
        let accepted = self.unix_listener(key).queue.pop_front();
        self.update_unix_listener(key, false);
        let accepted = accepted.ok_or(Errno::AGAIN)?;
        if let Err(error) = self.faults.check_accepted() {
            self.close_unix(accepted);
            return Err(error);
        }
        self.sockets[accepted].open();
        self.end_mut(accepted).is_unaccepted = false;
        self.counters.accepted += 1;
        self.note(accepted, || "is accepted".to_owned());
        Ok(accepted)
    }

    /// How many bytes that end has written and its peer has not read.
    pub(super) fn unread_by_peer(&self, end: &UnixEnd) -> u64 {
        match end.peer.map(|peer| &self.sockets[peer].kind) {
            Some(SocketKind::Unix(peer)) => peer.buffer.len() as u64,
            _ => 0,
        }
    }

    pub(super) fn recv_unix(
        &mut self,
        key: SocketKey,
        buffer: &mut [u8],
        peek: bool,
    ) -> io::Result<usize> {
        let end = self.end_mut(key);
        if end.buffer.is_empty() {
            return match end.error.take() {
                Some(error) => Err(error.into()),
                None if end.read_shut => Ok(0),
                None => Err(Errno::AGAIN.into()),
            };
        }
        let count = buffer.len().min(end.buffer.len());
        for (to, from) in buffer.iter_mut().zip(&end.buffer) {
            *to = *from;
        }
        if peek {
            return Ok(count);
        }
        end.buffer.drain(..count);
        let writer = end.peer;
        self.note(key, || format!("reads {count} bytes"));
        self.update_unix(key, false);
        if let Some(writer) = writer {
            let has_room = self.end_mut(key).has_ample_room();
            self.update_unix(writer, has_room);
        }
        Ok(count)
    }

    pub(super) fn send_unix(
        &mut self,
        key: SocketKey,
        buffers: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let end = self.end_mut(key);
        let Some(peer) = end.peer.filter(|_| !end.write_shut) else {
            return Err(Errno::PIPE.into());
        };
        let asked: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = asked.min(self.end_mut(peer).room());
        if asked > 0 && count == 0 {
            return Err(Errno::AGAIN.into());
        }
        let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(count);
        self.end_mut(peer).buffer.extend(bytes);
        self.counters.bytes_written += count as u64;
        self.counters.bytes_delivered += count as u64;
        self.note(key, || format!("writes {count} bytes of {asked}"));
        self.update_unix(key, false);
        self.update_unix(peer, count > 0);
        Ok(count)
    }

    /// If an end is shut down in one direction, its peer is in the other.
    pub(super) fn shutdown_unix(&mut self, key: SocketKey, how: Shutdown) {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        self.note(key, || format!("is shut down: {how:?}"));
        let end = self.end_mut(key);
        end.read_shut |= read;
        end.write_shut |= write;
        let peer = end.peer;
        self.update_unix(key, true);
        if let Some(peer) = peer {
            let end = self.end_mut(peer);
            end.read_shut |= write;
            end.write_shut |= read;
            self.update_unix(peer, true);
        }
    }

    pub(super) fn close_unix(&mut self, key: SocketKey) {
        self.counters.closed += u64::from(!self.end_mut(key).is_unaccepted);
        self.note(key, || "is closed".to_owned());
        let end = self.end_mut(key);
        let is_reset = !end.buffer.is_empty() || end.is_unaccepted;
        let peer = end.peer;
        self.sockets.remove(key);
        if let Some(peer) = peer {
            let end = self.end_mut(peer);
            end.peer = None;
            end.read_shut = true;
            end.write_shut = true;
            if is_reset {
                end.error = Some(Errno::CONNRESET);
            }
            self.update_unix(peer, true);
        }
    }

    /// The path is free again with its listener: a simulation leaves nothing on a disk.
    pub(super) fn close_unix_listener(&mut self, key: SocketKey) {
        self.note(key, || "is closed".to_owned());
        let UnixListener { path, queue } = self.unix_listener(key);
        let (path, queue) = (path.clone(), std::mem::take(queue));
        self.paths.remove(&path);
        self.sockets.remove(key);
        queue.into_iter().for_each(|accepted| self.close_unix(accepted));
    }

    fn unix_path(&mut self, key: SocketKey) -> io::Result<Option<PathBuf>> {
        match &self.sockets[key].kind {
            SocketKind::Unix(end) => Ok(end.local.clone()),
            SocketKind::UnixListener(listener) => Ok(Some(listener.path.clone())),
            _ => Err(Errno::OPNOTSUPP.into()),
        }
    }

    fn insert_unix(&mut self, label: String, is_open: bool) -> SocketKey {
        let end = UnixEnd::new(self.wires.default_link().send_buffer_bytes);
        self.insert(label, is_open, SocketKind::Unix(end))
    }

    fn join(&mut self, one: SocketKey, other: SocketKey) {
        self.end_mut(one).peer = Some(other);
        self.end_mut(other).peer = Some(one);
        self.update_unix(one, false);
        self.update_unix(other, false);
    }

    fn update_unix(&mut self, key: SocketKey, edge: bool) {
        let peer = self.end_mut(key).peer;
        let has_room = peer.is_some_and(|peer| self.end_mut(peer).has_ample_room());
        let end = self.end_mut(key);
        let is_over = end.read_shut && end.write_shut;
        let level = Level::default()
            .with_readable(end.read_shut || !end.buffer.is_empty() || end.error.is_some())
            .with_writable(is_over || has_room)
            .with_read_closed(end.read_shut);
        self.set_level(key, level, edge);
    }

    fn update_unix_listener(&mut self, key: SocketKey, edge: bool) {
        let readable = !self.unix_listener(key).queue.is_empty();
        self.set_level(key, Level::default().with_readable(readable), edge);
    }

    fn end_mut(&mut self, key: SocketKey) -> &mut UnixEnd {
        match &mut self.sockets[key].kind {
            SocketKind::Unix(end) => end,
            _ => unreachable!("a Unix stream's key"),
        }
    }

    fn unix_listener(&mut self, key: SocketKey) -> &mut UnixListener {
        match &mut self.sockets[key].kind {
            SocketKind::UnixListener(listener) => listener,
            _ => unreachable!("a Unix listener's key"),
        }
    }
}

/// One less than the longest queue of connections that wait to be accepted, as Linux grants it.
const BACKLOG: usize = 4_096;
