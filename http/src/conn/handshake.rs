//! What comes before the first request: the handshake of a stream that has one, such as TLS.
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
use crate::wire::linger;

/// Runs the stream's handshake, if the client has sent something. Returns `None` if requests can be
/// read now.
#[cold]
pub(super) fn shake_hands(connection: &Connection) -> io::Result<Option<End>> {
    let link = connection.link();
    if link.transport.arm(Interest::Read)? {
        let is_closing = connection.host().is_draining() || link.idle.end().is_some();
        if !is_closing {
            return Ok(Some(End::Idle));
        }
        if !await_first_request(connection)? {
            record_idle_end(connection);
            return Ok(Some(End::Close));
        }
    }
    link.idle.clear_end();
    connection.end_handshake();
    match link.transport.handshake() {
        Ok(()) => {
            // The client's first request is on its way only now.
            link.exchange.restart_clock();
            record_handshake(connection);
            Ok(None)
        }
        Err(error) if has_left_at_once(&error) => Ok(Some(End::Close)),
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

/// Whether the client closed the connection before it sent a byte, as a probe of a load balancer
/// does: no handshake began, so none failed.
fn has_left_at_once(error: &io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none()
}

/// Counts and reports a handshake that has succeeded, if the stream has one.
fn record_handshake(connection: &Connection) {
    #[cfg(feature = "_tls")]
    if let Some(info) = connection.link().tls() {
        connection.host().record_handshake(&connection.link().peer, info);
    }
    let _ = connection;
}

/// Counts and reports a handshake that has failed for a reason of the protocol. Returns whether the
/// client may still read why. Another error is one of the connection.
fn record_failed_handshake(connection: &Connection, error: &io::Error) -> bool {
    #[cfg(feature = "_tls")]
    if let Some(error) = HandshakeError::from_io(error) {
        connection.set_failed();
        connection.host().record_failed_handshake(&connection.link().peer, error);
        return !matches!(error.failure(), HandshakeFailure::Closed | HandshakeFailure::TimedOut);
    }
    let _ = (connection, error);
    false
}
