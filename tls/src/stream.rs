//! A TLS connection over any stream.

use std::marker::PhantomData;

use straightline_net::Transport;

use crate::config::TlsConfig;
use crate::info::TlsInfo;

/// PLACEHOLDER: `Transport`, `Read`, `Write` (also of `&TlsStream`)
pub struct TlsStream<S>(PhantomData<S>);

impl<S: Transport> TlsStream<S> {
    /// PLACEHOLDER: the server's side, before its handshake. `Transport::handshake` runs it.
    pub fn server(stream: S, config: &TlsConfig) -> Self {
        let _ = (stream, config);
        Self(PhantomData)
    }
    /// PLACEHOLDER: after the handshake; `Transport::info` returns the same
    pub fn info(&self) -> Option<&TlsInfo> {
        None
    }
}
