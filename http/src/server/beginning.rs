//! What a new connection is served on: the stream that was accepted, or TLS over it.
//!
//! A stream of the program's own is served as it is: the program chooses itself what it speaks.

#[cfg(feature = "_tls")]
use std::sync::Arc;

use straightline_net::Transport;
#[cfg(feature = "_tls")]
use straightline_tls::TlsStream;

use super::state::ShardState;

/// The stream of a new connection.
pub(super) struct Beginning {
    pub(super) stream: Box<dyn Transport>,
    /// It has a handshake, or may have one.
    pub(super) awaits_handshake: bool,
}

impl Beginning {
    /// For a stream that the program gives: only the stream itself knows whether it has a
    /// handshake.
    pub(super) fn given(stream: Box<dyn Transport>, _: &ShardState) -> Self {
        Self { stream, awaits_handshake: true }
    }
}

/// For a stream that a listener has accepted.
pub(super) fn secured<T: Transport>(stream: T, state: &ShardState) -> Beginning {
    #[cfg(feature = "_tls")]
    if let Some(config) = state.host.tls() {
        let budget = Arc::clone(&state.host.memory);
        let stream = Box::new(TlsStream::server(stream, config).with_memory_budget(budget));
        return Beginning { stream, awaits_handshake: true };
    }
    let _ = state;
    Beginning { stream: Box::new(stream), awaits_handshake: false }
}
