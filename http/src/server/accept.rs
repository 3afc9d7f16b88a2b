//! A shard's front door.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use straightline_net::{TcpListener, UnixListener};
use straightline_sched::{checkpoint, clock, now, park_timeout, sleep, spawn_episodes};

use super::state::{Registered, ShardState};
use crate::config::{Address, Full, Peer, Phase, WhenFull};
use crate::conn::Connection;
use crate::control::{Listener, Loan};
use crate::telemetry::Event;
use crate::wire::{Link, Transport};

/// Accepts until the loan is over, if it is a loan, or until the server is stopped, and then what
/// had been waiting already.
pub(super) fn accept_loop(
    listener: Listener,
    address: &Address,
    loan: Option<&Loan>,
    state: &Rc<ShardState>,
) {
    let result = match listener {
        Listener::Tcp(listener) => TcpListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, peer)| (stream, of_tcp(peer)));
            // Where that fails, a client may be reset that comes at the last moment.
            let close_queue = || listener.close_queue().is_ok();
            accept_from(accept, || listener.wait_readable(), close_queue, loan, state)
        }),
        Listener::Unix(listener) => UnixListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, _)| (stream, Peer::Unix));
            // Its file has gone, and with it the way into its queue.
            accept_from(accept, || listener.wait_readable(), || false, loan, state)
        }),
    };
    if let Err(error) = result {
        state.slot.counters.accept_errors.bump();
        state.host.tell(&Event::ListenerFailed { address, error: &error });
        if loan.is_none() {
            state.shared.listener_failed(&state.slot, address, &error);
        }
    }
}

/// Which client it is. A listener of IPv6 has those of IPv4 as well, under addresses of its own.
fn of_tcp(peer: SocketAddr) -> Peer {
    Peer::Tcp(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// Closing the queue tells whether clients may still be in the middle of a handshake. An error is
/// the listener's end.
fn accept_from<T: Transport>(
    accept: impl Fn() -> io::Result<(T, Peer)>,
    wait: impl Fn() -> io::Result<()>,
    close_queue: impl Fn() -> bool,
    loan: Option<&Loan>,
    state: &Rc<ShardState>,
) -> io::Result<()> {
    let mut pause = PAUSE_MIN;
    let mut listed_at = None;
    let (mut ends_at, mut handshakes_until) = (None, None);
    loop {
        let is_retired = state.slot.is_retired();
        if is_retired || loan.is_some_and(Loan::is_over) {
            return Ok(()); // the clients are another shard's
        }
        if ends_at.is_none() && state.shared.phase() > Phase::Unready {
            let has_handshakes = close_queue();
            ends_at = Some(now() + END_PATIENCE);
            let patience = if has_handshakes { HANDSHAKE_PATIENCE } else { Duration::ZERO };
            handshakes_until = Some(clock() + patience);
        }
        // At the end whoever is in the queue is let in: they come to no more than that holds.
        if ends_at.is_none() && state.host.capacity.when_full == WhenFull::Wait && !has_room(state)
        {
            // Whoever leaves another shard does not say so here.
            if listed_at.replace(state.connections.leaves()) != Some(state.connections.leaves()) {
                state.connections.await_leave();
            }
            park_timeout(LOOK_AGAIN);
            continue;
        }
        match accept() {
            Ok((stream, peer)) => {
                pause = PAUSE_MIN;
                admit(stream, peer, state);
                checkpoint();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => match handshakes_until {
                None => wait()?,
                Some(at) if at <= clock() => return Ok(()),
                Some(_) => sleep(HANDSHAKE_PATIENCE),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_of_listener(&error) => return Err(error),
            Err(error) => {
                state.slot.counters.accept_errors.bump();
                if is_of_one_connection(&error) {
                    state.host.tell(&Event::AcceptFailed { error: &error, pause: None });
                    continue;
                }
                // Descriptors or memory ran out: they come back when connections close, and trying
                // at once would only take the thread away from those. One line a pause.
                state.host.tell(&Event::AcceptFailed { error: &error, pause: Some(pause) });
                if ends_at.is_some_and(|at| at <= clock()) {
                    return Ok(());
                }
                park_timeout(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Whether a client could be taken that waits.
fn has_room(state: &ShardState) -> bool {
    let capacity = &state.host.capacity;
    let is_full = state.shared.shards.connections() >= capacity.connections as u64;
    state.shared.shards.in_flight() < capacity.in_flight as u64
        && (!is_full || has_evictable(state))
}

/// Whether a connection that rests would make room.
fn has_evictable(state: &ShardState) -> bool {
    state.connections.has_evictable(state.host.sweep())
}

/// Starts a connection, or turns it away.
fn admit<T: Transport>(stream: T, peer: Peer, state: &Rc<ShardState>) {
    let capacity = &state.host.capacity;
    let is_full = state.shared.shards.connections() >= capacity.connections as u64;
    // Where clients wait, one that another shard was quicker than is let in all the same.
    if is_full && capacity.when_full == WhenFull::Refuse && !has_evictable(state) {
        return turn_away(stream, &peer, Full::Connections, state);
    }
    let most = capacity.connections_per_peer;
    if most != usize::MAX && !state.shared.peers.enter(&peer, state.slot.index, most) {
        return turn_away(stream, &peer, Full::Peer, state);
    }
    if is_full {
        // It may be gone already where clients wait: then there is one too many for a while.
        state.connections.evict(state.host.sweep());
    }
    open(stream, peer, state);
}

/// Starts a connection's fiber.
fn open<T: Transport>(stream: T, peer: Peer, state: &Rc<ShardState>) {
    state.slot.counters.accepted.bump();
    state.host.tell(&Event::ConnectionOpened { peer: &peer });
    stream.join_set(&state.slot.streams);
    let link = Rc::new(Link::new(peer, Rc::clone(&state.host), stream));
    state.enter(&link, |registered| {
        let connection = Connection::new(Rc::clone(&link), Rc::clone(&state.service));
        let served = Served { connection, _registered: registered };
        spawn_episodes(move || served.episode()).fiber()
    });
}

/// A connection and its place, which it leaves when all else of it is over.
struct Served {
    connection: Connection,
    /// Dropped last, as it is declared last.
    _registered: Registered,
}

impl Served {
    fn episode(&self) -> ControlFlow<()> {
        self.connection.episode()
    }
}

/// Tells a client that there is no room for it.
fn turn_away<T: Transport>(stream: T, peer: &Peer, full: Full, state: &Rc<ShardState>) {
    state.slot.counters.turned_away.bump();
    state.host.tell(&Event::TurnedAway { peer, full });
    state.rejections.send(stream);
}

/// The client gave up between its handshake and our accept; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// The socket listens no more: somebody has shut it down, or closed its descriptor.
fn is_of_listener(error: &io::Error) -> bool {
    let of_listener = [Errno::INVAL, Errno::BADF, Errno::NOTSOCK];
    Errno::from_io_error(error).is_some_and(|error| of_listener.contains(&error))
}

/// The first pause after an accept that failed for want of something. Arbitrary.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest such pause. Arbitrary: what a waiting client hardly notices.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// When a server stops, so long descriptors that have run out are waited for, for those who are in
/// the queue. Arbitrary: connections at rest close meanwhile.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// How long a handshake that has begun is waited for when a server stops: clients that need longer
/// are reset. Arbitrary: many round trips of one site, and of a busy kernel's own work.
const HANDSHAKE_PATIENCE: Duration = Duration::from_millis(50);

/// A client that waits for room hardly notices it either.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
