//! A shard's front door.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use slog::warn;
use straightline_net::{BoundTcpListener, BoundUnixListener, TcpListener, UnixListener};
use straightline_sched::{checkpoint, park_timeout, spawn_episodes};

use super::address::Peer;
use super::running::{Phase, Shared};
use super::shard::ShardState;
use crate::conn::{Connection, Link, Transport};

/// An open socket on its way to its shard.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(BoundTcpListener),
    Unix(BoundUnixListener),
}

/// Accepts until the server is stopped, and then what had been waiting already.
pub(super) fn accept_loop(listener: Listener, state: &Rc<ShardState>, shared: &Shared) {
    let result = match listener {
        Listener::Tcp(listener) => TcpListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, peer)| (stream, Peer::Tcp(peer)));
            accept_from(accept, || listener.wait_readable(), state, shared)
        }),
        Listener::Unix(listener) => UnixListener::from_bound(listener).and_then(|listener| {
            let accept = || listener.try_accept().map(|(stream, _)| (stream, Peer::Unix));
            accept_from(accept, || listener.wait_readable(), state, shared)
        }),
    };
    if let Err(error) = result {
        state.counters.accept_errors.bump();
        state.hooks.accept_failed(&error);
        slog::error!(state.logger, "a listener failed for good"; "error" => %error);
    }
}

fn accept_from<T: Transport>(
    accept: impl Fn() -> io::Result<(T, Peer)>,
    wait: impl Fn() -> io::Result<()>,
    state: &Rc<ShardState>,
    shared: &Shared,
) -> io::Result<()> {
    let mut pause = PAUSE_MIN;
    loop {
        match accept() {
            Ok((stream, peer)) => {
                pause = PAUSE_MIN;
                open(stream, peer, state);
                checkpoint();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if shared.phase() > Phase::Serving {
                    return Ok(());
                }
                wait()?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                state.counters.accept_errors.bump();
                state.hooks.accept_failed(&error);
                if is_of_one_connection(&error) {
                    continue;
                }
                // Descriptors or memory ran out: they come back when connections close, and trying
                // at once would only take the thread away from those. One line a pause.
                warn!(state.logger, "accept failed"; "error" => %error, "pause" => ?pause);
                if shared.phase() > Phase::Serving {
                    return Ok(());
                }
                park_timeout(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Starts a connection's fiber.
fn open<T: Transport>(stream: T, peer: Peer, state: &Rc<ShardState>) {
    state.counters.accepted.bump();
    let registered = state.register();
    let key = registered.key();
    let link = Rc::new(Link::new(peer, Rc::clone(&state.limits), stream));
    let connection = Connection::new(link, Rc::clone(state), registered);
    let fiber = spawn_episodes(move || connection.episode());
    state.set_fiber(key, fiber.fiber());
}

/// The client gave up between its handshake and our accept; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// The first pause after an accept that failed for want of something. Arbitrary.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest such pause. Arbitrary: what a waiting client hardly notices.
const PAUSE_MAX: Duration = Duration::from_millis(500);
