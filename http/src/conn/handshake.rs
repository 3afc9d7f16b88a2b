//! What comes before the first request: the handshake of a stream that has one, such as TLS, and
//! the header of a proxy.
//!
//! A connection on which nothing has arrived is idle, and holds no stack, whatever its stream is.
//! So the handshake begins with the client's first bytes. It bounds its own time.
//!
//! The connection does not know which streams have a handshake. One whose stream may have one calls
//! it, once.

use std::io::{self, ErrorKind};

use straightline_sched::Interest;
#[cfg(feature = "_tls")]
use straightline_tls::{HandshakeError, HandshakeFailure};

use super::connection::{Connection, End};
use super::errors::record_idle_end;
use crate::config::CapacityLimit;
use crate::proto::ProxyHeaderError;
use crate::telemetry::Event;
use crate::wire::linger;

/// Runs the stream's handshake, if the client has sent something. Returns `None` if requests can be
/// read now.
#[cold]
pub(super) fn shake_hands(connection: &Connection) -> io::Result<Option<End>> {
    let link = connection.link();
    if link.transport.arm(Interest::Read)? {
        let is_closing = connection.host().is_draining() || link.idle().end().is_some();
        if !is_closing {
            return Ok(Some(End::Idle));
        }
        if !await_first_request(connection)? {
            record_idle_end(connection);
            return Ok(Some(End::Close));
        }
    }
    link.idle().clear_end();
    connection.end_handshake();
    match link.transport.handshake() {
        Ok(()) => {
            if !admit_client(connection) {
                return Ok(Some(End::Close));
            }
            // The client's first request is on its way only now.
            link.exchange.restart_clock();
            record_handshake(connection);
            Ok(None)
        }
        Err(error) if has_left_at_once(&error) => Ok(Some(End::Close)),
        Err(error) if refuse_header(connection, &error) => Ok(Some(End::Close)),
        Err(error) => {
            if record_failed_handshake(connection, &error) {
                linger(&*link.transport);
            }
            Err(error)
        }
    }
}

/// In a drain, waits for the first request of a connection that was accepted a moment ago. Returns
/// false if the connection is closed without another read.
#[cold]
pub(super) fn await_first_request(connection: &Connection) -> io::Result<bool> {
    match connection.link().first_request_until() {
        Some(until) if connection.host().is_draining() => {
            connection.link().transport.wait_until(Interest::Read, Some(until))
        }
        _ => Ok(false),
    }
}

/// Admits the client that a proxy has named; false if it has too many connections.
fn admit_client(connection: &Connection) -> bool {
    let (link, host) = (connection.link(), connection.host());
    let Some((proxied, peer)) = link.proxied().and_then(|it| Some((it, it.client()?))) else {
        return true;
    };
    host.emit(&Event::ProxyHeader { peer, proxy: proxied.proxy() });
    if host.enter_peer(peer) {
        proxied.set_counted();
        return true;
    }
    host.counters().rejected.bump();
    host.emit(&Event::ConnectionRejected { peer, full: CapacityLimit::Peer });
    false
}

/// Counts and reports the header of a proxy that was refused, if that is why the handshake failed.
/// Another proxy is told nothing: it would pass the answer to a client that has done nothing wrong.
fn refuse_header(connection: &Connection, error: &io::Error) -> bool {
    let Some(proxied) = connection.link().proxied() else { return false };
    // TLS has its own timeout, which the wait for the header may use up.
    let is_late = proxied.client().is_none() && error.kind() == ErrorKind::TimedOut;
    let fault = proxied.fault().or_else(|| is_late.then_some(ProxyHeaderError::Late));
    let Some(error) = fault else { return false };
    connection.set_failed();
    connection.host().counters().proxy_headers_refused.bump();
    let peer = proxied.proxy();
    connection.host().emit(&Event::ProxyHeaderRefused { peer, error });
    true
}

/// Whether the client closed the connection before it sent a byte, as a probe of a load balancer
/// does: no handshake began, so none failed.
fn has_left_at_once(error: &io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none()
}

/// Counts and reports a handshake that has succeeded, if the stream has one.
fn record_handshake(connection: &Connection) {
    #[cfg(feature = "_tls")]
    if let Some(info) = connection.link().tls() {
        connection.host().record_handshake(connection.link().peer(), info);
    }
    let _ = connection;
}

/// Counts and reports a handshake that has failed for a reason of the protocol. Returns whether the
/// client may still read why. Another error is one of the connection.
fn record_failed_handshake(connection: &Connection, error: &io::Error) -> bool {
    #[cfg(feature = "_tls")]
    if let Some(error) = HandshakeError::from_io(error) {
        connection.set_failed();
        connection.host().record_failed_handshake(connection.link().peer(), error);
        return !matches!(error.failure(), HandshakeFailure::Closed | HandshakeFailure::TimedOut);
    }
    let _ = (connection, error);
    false
}
