//! Bytes between a session and the stream below it. Nothing here waits.

use std::io::{self, ErrorKind};

use straightline_net::Transport;

use crate::buffer::Buffer;
use crate::session::Session;

/// Receives what is there. At the end of the stream, the session knows it.
pub(crate) fn receive(stream: &impl Transport, session: &mut Session) -> io::Result<()> {
    if session.incoming.len() > session.incoming_max() {
        return Err(io::Error::new(ErrorKind::InvalidData, "a TLS message is too large"));
    }
    match stream.try_read(session.incoming.room(ROOM_LEAST)?) {
        Ok(0) => {
            session.incoming.settle();
            session.set_truncated();
        }
        Ok(count) => session.receive(count),
        Err(error) => {
            session.incoming.settle();
            return Err(if session.count_memory() { error } else { ErrorKind::OutOfMemory.into() });
        }
    }
    Ok(())
}

/// Sends what was encrypted.
pub(crate) fn flush(stream: &impl Transport, outgoing: &mut Buffer) -> io::Result<()> {
    while !outgoing.is_empty() {
        let count = stream.try_write(outgoing.filled())?;
        outgoing.consume(count);
    }
    Ok(())
}

/// Sends, on behalf of a reader, what was encrypted; what there is no room for is kept. If it
/// fails, the next write says so: the reader gets what the peer has sent before.
pub(crate) fn send_what_fits(stream: &impl Transport, session: &mut Session) {
    match flush(stream, &mut session.outgoing) {
        Err(error) if !is_retried(&error) => session.cut_off(),
        // It is there already, and counts as far as there is room.
        Err(_) => drop(session.count_memory()),
        Ok(()) => {}
    }
}

/// Drops what was received. It was never decrypted, so no reader gets it.
pub(crate) fn drop_received(stream: &impl Transport) -> io::Result<usize> {
    match stream.try_read(&mut [0; DROPPED_BYTES])? {
        0 => Err(io::Error::new(ErrorKind::NotConnected, "the TLS handshake has failed")),
        _ => Err(ErrorKind::Interrupted.into()),
    }
}

/// Whether a later try may succeed.
pub(crate) fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The least room for a read. Arbitrary: most requests fit.
const ROOM_LEAST: usize = 1024;

/// How much is dropped at a time. Arbitrary: it is on the stack of a fiber.
const DROPPED_BYTES: usize = 1024;
