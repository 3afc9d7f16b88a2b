//! What a new connection is served on: the stream that was accepted, or TLS over it.
//!
//! If a trusted proxy has connected, its header comes before everything else, so the stream that
//! reads it stands below TLS. A stream of the program's own is served as it is: the program chooses
//! itself what it speaks.

use std::rc::Rc;
#[cfg(feature = "_tls")]
use std::sync::Arc;

use straightline_net::Transport;
#[cfg(feature = "_tls")]
use straightline_tls::TlsStream;

use super::state::ShardState;
use crate::config::Peer;
use crate::wire::{ClientStream, ConnectionPeer, ProxiedPeer, ProxiedStream};

/// The stream of a new connection.
pub(super) struct Beginning {
    pub(super) stream: ClientStream,
    pub(super) peer: ConnectionPeer,
    /// It has a handshake, or may have one.
    pub(super) awaits_handshake: bool,
}

impl Beginning {
    /// For a stream that the program gives: only the stream itself knows whether it has a
    /// handshake.
    pub(super) fn given(stream: Box<dyn Transport>, peer: Peer, _: &ShardState) -> Self {
        let (stream, peer) = (ClientStream::Other(stream), ConnectionPeer::Direct(peer));
        Self { stream, peer, awaits_handshake: true }
    }
}

/// For a stream that a listener has accepted.
pub(super) fn secured<T: Transport>(stream: T, peer: Peer, state: &ShardState) -> Beginning {
    if !state.host.is_proxy(&peer) {
        return over(stream, ConnectionPeer::Direct(peer), false, state);
    }
    let peer = ProxiedPeer::new(peer);
    let stream = ProxiedStream::new(stream, Rc::clone(&peer), state.host.timeouts.head);
    over(stream, ConnectionPeer::Proxied(peer), true, state)
}

/// The stream, or TLS over it. `has_header` says that the stream itself has a handshake.
fn over<T: Transport>(
    stream: T,
    peer: ConnectionPeer,
    has_header: bool,
    state: &ShardState,
) -> Beginning {
    #[cfg(feature = "_tls")]
    if let Some(config) = state.host.tls() {
        let budget = Arc::clone(&state.host.memory);
        let stream = TlsStream::server(stream, config).with_memory_budget(budget);
        let stream = ClientStream::Other(Box::new(stream));
        return Beginning { stream, peer, awaits_handshake: true };
    }
    let _ = state;
    Beginning { stream: ClientStream::new(stream), peer, awaits_handshake: has_header }
}
