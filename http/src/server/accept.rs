//! A shard accepts connections, or rejects them.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use straightline_net::{BoundListener, TcpListener, Transport, UnixListener};
use straightline_sched::{
    JoinHandle, ShardTime, checkpoint, now, park_timeout, sleep, spawn_stackless, turn_start,
};

use super::beginning::{Beginning, secured};
use super::state::{Registered, ShardState};
use crate::config::{Address, CapacityLimit, OverloadPolicy, Peer, Phase};
use crate::conn::{Connection, serve_activation};
use crate::control::{Listener, Loan};
use crate::telemetry::Event;
use crate::wire::{AtRest, OpenConnection};

/// Accepts until the loan is over, if the listener is lent, or until the server drains. A draining
/// server still accepts the clients that are in the queue by then.
pub(super) fn accept_loop(
    listener: Listener,
    address: &Address,
    loan: Option<&Loan>,
    state: &Rc<ShardState>,
) {
    let is_shared = listener.is_shared;
    let result = match listener.socket {
        BoundListener::Tcp(listener) => TcpListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, peer)| (stream, of_tcp(peer)));
            // If this fails, a client that connects at the last moment may be reset.
            let close = || if is_shared { Queue::Shared } else { closed(&listener) };
            accept_from(accept, || listener.wait_readable(), close, loan, state)
        }),
        BoundListener::Unix(listener) => UnixListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, _)| (stream, Peer::Unix));
            // The file of a socket of this server is removed by now, so no further client can enter
            // the queue.
            let close = || if is_shared { Queue::Shared } else { Queue::Closed };
            accept_from(accept, || listener.wait_readable(), close, loan, state)
        }),
        _ => Err(ErrorKind::Unsupported.into()), // there are no others
    };
    if let Err(error) = result {
        state.slot.counters.accept_errors.bump();
        state.host.emit(&Event::ListenerFailed { address, error: &error });
        if loan.is_none() {
            state.shared.listener_failed(&state.slot, address, &error);
        }
    }
}

/// The accept queue of a listener, from the moment when the server drains.
enum Queue {
    /// No further client enters it.
    Closed,
    /// No further client enters it, except those in the middle of a handshake.
    Closing,
    /// The socket is also another process's, which goes on accepting. It is left as it is.
    Shared,
}

fn closed(listener: &TcpListener) -> Queue {
    if listener.close_queue().is_ok() { Queue::Closing } else { Queue::Closed }
}

/// The client's address. A listener on IPv6 gets IPv4 clients too, as mapped addresses.
fn of_tcp(peer: SocketAddr) -> Peer {
    Peer::Tcp(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// Accepts the clients of one listener. `close_queue` is called when the server drains. An error
/// ends the listener.
fn accept_from<T: Transport>(
    accept: impl Fn() -> io::Result<(T, Peer)>,
    wait: impl Fn() -> io::Result<()>,
    close_queue: impl Fn() -> Queue,
    loan: Option<&Loan>,
    state: &Rc<ShardState>,
) -> io::Result<()> {
    let mut pause = PAUSE_MIN;
    let mut listed_at = None;
    let (mut ends_at, mut handshakes_until, mut shared_until) = (None, None, None);
    loop {
        let is_over = state.slot.is_retired() || state.slot.is_leaving();
        if is_over || loan.is_some_and(Loan::is_over) {
            return Ok(()); // another shard accepts the clients
        }
        if ends_at.is_none() && state.shared.phase() > Phase::Unready {
            let queue = close_queue();
            ends_at = Some(turn_start() + DESCRIPTOR_WAIT);
            let is_closing = matches!(queue, Queue::Closing);
            let handshake_wait = if is_closing { HANDSHAKE_WAIT } else { Duration::ZERO };
            handshakes_until = Some(now() + handshake_wait);
            if matches!(queue, Queue::Shared) {
                shared_until = Some(now() + SHARED_WAIT);
            }
        }
        if shared_until.is_some_and(|at| at <= now()) {
            return Ok(()); // another process accepts the clients, or this one has kept up
        }
        // A draining server accepts all clients in the queue: their number is bounded by the length
        // of the queue.
        if ends_at.is_none()
            && state.host.capacity.overload_policy == OverloadPolicy::Queue
            && !has_room(state)
        {
            await_room(state, &mut listed_at);
            continue;
        }
        match accept() {
            Ok((stream, peer)) => {
                pause = PAUSE_MIN;
                // A client that is rejected is counted and reported.
                let _ = admit(stream, peer, state, secured, None);
                checkpoint();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => match handshakes_until {
                None => wait()?,
                Some(at) if at <= now() => return Ok(()),
                Some(_) => sleep(HANDSHAKE_WAIT),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_of_listener(&error) => return Err(error),
            Err(error) => {
                state.slot.counters.accept_errors.bump();
                if is_of_one_connection(&error) {
                    state.host.emit(&Event::AcceptFailed { error: &error, pause: None });
                    continue;
                }
                // Descriptors or memory ran out. They are free again when connections close. Until
                // then a retry would only take thread time from the connections. One event for each
                // pause.
                state.host.emit(&Event::AcceptFailed { error: &error, pause: Some(pause) });
                if ends_at.is_some_and(|at| at <= now()) {
                    return Ok(());
                }
                park_timeout(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Waits until the server could accept one more client, or drains.
pub(super) fn wait_for_room(state: &ShardState) {
    let mut listed_at = None;
    while state.shared.phase() <= Phase::Unready && !has_room(state) {
        await_room(state, &mut listed_at);
    }
}

/// Waits until a connection closes, or it is time to look again. `listed_at` is when the calling
/// fiber asked to be woken, in removals of connections.
fn await_room(state: &ShardState, listed_at: &mut Option<u64>) {
    // A connection that closes on another shard does not wake this fiber, so it polls too.
    if listed_at.replace(state.connections.removals()) != Some(state.connections.removals()) {
        state.connections.await_removal();
    }
    park_timeout(LOOK_AGAIN);
}

/// Whether the server could accept a client that waits in the queue.
fn has_room(state: &ShardState) -> bool {
    let capacity = &state.host.capacity;
    let is_full = state.shared.shards.connections() >= capacity.connections as u64;
    state.shared.shards.in_flight() < capacity.in_flight as u64
        && (!is_full || has_evictable(state))
}

/// Whether an idle connection could be closed for a new one.
fn has_evictable(state: &ShardState) -> bool {
    state.connections.has_evictable(state.host.sweep())
}

/// Where a connection leaves how it ended.
pub(super) type EndCell = Rc<Cell<Option<io::Result<()>>>>;

/// Starts a connection, or rejects it. `begin` makes of a stream what the connection is served on.
/// Returns the connection's fiber.
pub(super) fn admit<T: Transport>(
    stream: T,
    peer: Peer,
    state: &Rc<ShardState>,
    begin: fn(T, Peer, &ShardState) -> Beginning,
    end: Option<EndCell>,
) -> Result<JoinHandle<()>, CapacityLimit> {
    let capacity = &state.host.capacity;
    let is_full = state.shared.shards.connections() >= capacity.connections as u64;
    // With `OverloadPolicy::Queue`, an acceptor looks for room before it accepts. If another shard
    // took that room meanwhile, the client is accepted all the same.
    if is_full && capacity.overload_policy == OverloadPolicy::Reject && !has_evictable(state) {
        return Err(reject(stream, &peer, CapacityLimit::Connections, state));
    }
    let most = capacity.connections_per_peer;
    // The client of a proxy counts when the proxy has named it.
    let is_counted = most != usize::MAX && !state.host.is_proxy(&peer);
    if is_counted && !state.shared.peers.enter(&peer, state.slot.index, most) {
        return Err(reject(stream, &peer, CapacityLimit::Peer, state));
    }
    if is_full {
        // With `OverloadPolicy::Queue`, no connection may be evictable any more. Then there is one
        // connection too many for a while.
        state.connections.evict(state.host.sweep());
    }
    Ok(open(begin(stream, peer, state), state, end))
}

/// Starts a connection's fiber.
fn open(beginning: Beginning, state: &Rc<ShardState>, end: Option<EndCell>) -> JoinHandle<()> {
    let Beginning { stream, peer, awaits_handshake } = beginning;
    state.slot.counters.accepted.bump();
    stream.join_set(&state.slot.streams);
    let rest = AtRest::new(stream);
    let opened = Rc::new(OpenConnection::new(peer, ShardTime::of_turn(), Some(rest)));
    state.host.emit(&Event::ConnectionOpened { peer: opened.peer() });
    state.insert(&opened, |registered| {
        let (links, service) = (Rc::clone(&state.links), Rc::clone(&state.service));
        let connection = Connection::new(Rc::clone(&opened), links, service, awaits_handshake);
        let mut served = Served { connection, end, _registered: registered };
        spawn_stackless(move || served.activation())
    })
}

/// A connection, and its registration, which is dropped after everything else of the connection.
struct Served {
    connection: Connection,
    end: Option<EndCell>,
    /// Fields are dropped in their order, so this one is last.
    _registered: Registered,
}

impl Served {
    fn activation(&mut self) -> ControlFlow<()> {
        match serve_activation(&mut self.connection) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(result) => {
                if let Some(end) = &self.end {
                    end.set(Some(result));
                }
                ControlFlow::Break(())
            }
        }
    }
}

// An idle connection is to be small. The fiber keeps one word beside this.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Served>() <= 144);

/// Rejects a client for which there is no room.
fn reject(
    stream: impl Transport,
    peer: &Peer,
    full: CapacityLimit,
    state: &ShardState,
) -> CapacityLimit {
    state.slot.counters.rejected.bump();
    state.host.emit(&Event::ConnectionRejected { peer, full });
    // A client that expects TLS would not understand the answer.
    if !state.host.is_secure() {
        state.rejections.send(Box::new(stream));
    }
    full
}

/// The client closed the connection between its handshake and the accept. The next accept may
/// succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// The socket does not listen any more: it was shut down, or its descriptor was closed.
fn is_of_listener(error: &io::Error) -> bool {
    let of_listener = [Errno::INVAL, Errno::BADF, Errno::NOTSOCK];
    Errno::from_io_error(error).is_some_and(|error| of_listener.contains(&error))
}

/// The first pause after an accept that failed because descriptors or memory ran out. Arbitrary.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest such pause. Arbitrary: a waiting client hardly notices it.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a draining server waits for descriptors to accept the clients in the queue. Arbitrary:
/// idle connections close meanwhile.
const DESCRIPTOR_WAIT: Duration = Duration::from_secs(1);

/// How long a draining server waits for handshakes that have begun. Clients that need longer are
/// reset. Arbitrary: many round trips within one site, and more than a busy kernel takes.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(50);

/// How long a draining server empties the queue of a socket into which further clients come: it
/// cannot know whether another process accepts them. Arbitrary: a full queue is accepted within it.
const SHARED_WAIT: Duration = Duration::from_millis(50);

/// How often an acceptor looks for room. Arbitrary: a waiting client hardly notices it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
